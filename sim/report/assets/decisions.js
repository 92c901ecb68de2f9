// The decisions of an episode: a strip with all of them, and the chosen one large, with its ten probabilities and where its time went.

// Ten thin bars, grouped by kind; the chosen action is coloured, the expert's has a mark below.
function bars(p, action, expert) {
  const width = 96, height = 26, out = draw("svg", { class: "bars", viewBox: `0 0 ${width} ${height + 5}`, "aria-hidden": "true" });
  let x = 0;
  for (let i = 0; i < 10; i++) {
    if (i && DATA.kinds[i] !== DATA.kinds[i - 1]) x += 5;
    const tall = p ? Math.max(p[i] * height, 0.8) : i === action ? height : 0.8;
    out.append(draw("rect", { class: i === action ? `k-${DATA.kinds[i]}` : "rest", x, y: height - tall, width: 7, height: tall }));
    if (i === expert) out.append(draw("path", { class: "mark-x", d: `M${x + 3.5} ${height + 1}l3.5 4h-7z` }));
    x += 8.1;
  }
  return out;
}

function thumb(run, more, n, scale) {
  if (!run.sheet || !more.shown || !more.tile[0]) return null;
  const [w, h, columns] = more.tile, tile = more.shown.indexOf(n);
  if (tile < 0) return el("span", { class: "thumb none", style: `width:${w * scale}px;height:${h * scale}px` }, "not kept");
  const rows = Math.ceil(more.shown.length / columns);
  const style = `width:${w * scale}px;height:${h * scale}px;--sheet-w:${columns * w * scale}px;--sheet-h:${rows * h * scale}px;` +
    `--x:${-(tile % columns) * w * scale}px;--y:${-Math.floor(tile / columns) * h * scale}px`;
  const image = el("img", { src: run.sheet, alt: "", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith("frame not found"));
  return el("span", { class: "thumb", style }, image);
}

// What was done; beside an answer that was no action, that it was done in its place.
const doneAt = (more, n) => (more.a[n] >= 0 && more.said[n] !== undefined ? `${actionName(-1)}, instead ${actionName(more.a[n])}` : actionName(more.a[n]));

const latency = (more, n) => (more.ms[n] === undefined ? "" : `${more.ms[n].toFixed(more.ms[n] < 10 ? 1 : 0)} ms`);

function card(run, more, n, choose) {
  const p = probabilities(more.p[n]), action = more.a[n], expert = more.x ? more.x[n] : -1;
  const title = p ? DATA.labels.map((label, i) => `${label}: ${(100 * p[i]).toFixed(1)} %`).join("\n") : doneAt(more, n);
  return el("button", { class: `decision ${more.said[n] !== undefined ? "rejected" : expert >= 0 && expert !== action ? "unlike" : ""}`, type: "button", title, "data-n": n, onclick: () => choose(n) },
    thumb(run, more, n, 1), bars(p, action, expert),
    el("span", { class: "what" }, el("b", {}, `${n + 1}`), ` ${doneAt(more, n)}`),
    el("span", { class: "soft" }, [p && action >= 0 ? p[action].toFixed(2) : null, latency(more, n)].filter(Boolean).join(" · ")));
}

function inspector(run, more, n) {
  const p = probabilities(more.p[n]), action = more.a[n], expert = more.x ? more.x[n] : -1;
  const rows = DATA.labels.map((label, i) => el("tr", { class: i === action ? "on" : "" },
    el("td", {}, label), el("td", {}, el("i", { class: `k-${DATA.kinds[i]}`, style: `width:${p ? 100 * p[i] : i === action ? 100 : 0}%` })),
    el("td", { class: "num" }, p ? p[i].toFixed(3) : ""), el("td", { class: "soft" }, i === expert ? "◂ expert" : "")));
  const stages = Object.entries(more.st ?? {}).map(([stage, values]) => `${stage} ${values[n] ?? "–"}`).join(", ");
  return el("div", { class: "inspector" }, thumb(run, more, n, 2),
    el("div", { class: "chosen" },
      el("p", {}, el("b", {}, `Decision ${n + 1} of ${more.a.length}: ${doneAt(more, n)}`), more.said[n] === undefined ? "" : ` — “${more.said[n]}”`),
      el("table", { class: "ten" }, ...rows),
      el("p", { class: "soft" }, [latency(more, n), stages && `${stages} ms`].filter(Boolean).join(" · "))));
}

// Map, chosen decision and strip of one run's episode.
function sideOf(episode, run, name) {
  if (!run) return el("section", { class: "side" }, el("h4", {}, name), el("p", { class: "soft" }, "This run has not played the episode."));
  const more = JSON.parse(run.more), { picture, select } = mapOf(episode, run, more), place = el("div", { class: "place" });
  const choose = (n) => {
    if (n < 0 || n >= more.a.length) return;
    place.replaceChildren(inspector(run, more, n));
    select(n);
    strip.querySelectorAll(".on").forEach((node) => node.classList.remove("on"));
    strip.children[n]?.classList.add("on");
    chosen = n;
  };
  let chosen = 0;
  const strip = el("div", { class: "strip", onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(chosen + step);
    strip.children[chosen]?.focus();
  } }, ...more.a.map((_, n) => card(run, more, n, choose)));
  picture.addEventListener("click", (event) => { if (event.target.dataset?.n !== undefined) choose(Number(event.target.dataset.n)); });
  const facts = [`${show(run.ne)} m from the goal`, `walked ${show(run.pl)} m`, `${run.n} steps`, `${run.d} decisions`, `SPL ${show(run.spl, 2)}`,
    `nDTW ${show(run.dtw, 2)}`, run.hit && `${run.hit} collisions`, run.rej && `${run.rej} rejections`, run.ms !== null && `median ${show(run.ms)} ms`];
  const side = el("section", { class: "side" },
    el("div", { class: "head" }, DATA.runs.length > 1 && el("h4", {}, name), badge(run), el("span", { class: "soft" }, facts.filter(Boolean).join(" · ")),
      run.video && el("a", { class: "video", href: run.video }, "▶ video")),
    el("p", { class: "instruction" }, run.t),
    el("div", { class: "look" }, picture, place), more.a.length ? strip : "");
  choose(0);
  return side;
}

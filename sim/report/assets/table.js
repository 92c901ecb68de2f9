// The table of episodes: filters, sorting, and a row's details when it is opened. Rows appear by the hundred as one scrolls.
const two = DATA.runs.length > 1, PAGE = 100;
const body = document.querySelector("#episodes tbody"), head = document.querySelector("#episodes thead tr"), control = (name) => document.getElementById(name);
const rate = (value) => show(value, 2), difference = (a, b) => (a === null || b === null || a === undefined || b === undefined ? null : b - a);
const signed = (value) => (value === null ? "–" : (value > 0 ? "+" : "") + value.toFixed(2));

const perRun = (index, letter) => [
  { name: `Outcome${letter}`, key: (e) => e.runs[index]?.o ?? "", cell: (e) => badge(e.runs[index]) },
];
const columns = [
  ...perRun(0, two ? " A" : ""), ...(two ? perRun(1, " B") : []),
  { name: "Episode", key: (e) => (/^\d+$/.test(e.id) ? Number(e.id) : e.id), cell: (e) => e.id },
  { name: "Scene", key: (e) => DATA.scenes[e.s], cell: (e) => DATA.scenes[e.s] },
  { name: "Path m", num: true, key: (e) => e.l, cell: (e) => show(e.l) },
  { name: "Doors", num: true, key: (e) => e.r ?? null, cell: (e) => show(e.r, 0) },
  ...(two ? [
    { name: "NE A", num: true, key: (e) => e.runs[0]?.ne ?? null, cell: (e) => show(e.runs[0]?.ne) },
    { name: "NE B", num: true, key: (e) => e.runs[1]?.ne ?? null, cell: (e) => show(e.runs[1]?.ne) },
    { name: "ΔSPL", num: true, key: (e) => difference(e.runs[0]?.spl, e.runs[1]?.spl), cell: (e) => signed(difference(e.runs[0]?.spl, e.runs[1]?.spl)) },
    { name: "ΔnDTW", num: true, key: (e) => difference(e.runs[0]?.dtw, e.runs[1]?.dtw), cell: (e) => signed(difference(e.runs[0]?.dtw, e.runs[1]?.dtw)) },
  ] : [
    { name: "NE m", num: true, key: (e) => e.runs[0].ne, cell: (e) => show(e.runs[0].ne) },
    { name: "SPL", num: true, key: (e) => e.runs[0].spl, cell: (e) => rate(e.runs[0].spl) },
    { name: "nDTW", num: true, key: (e) => e.runs[0].dtw, cell: (e) => rate(e.runs[0].dtw) },
    { name: "Steps", num: true, key: (e) => e.runs[0].n, cell: (e) => show(e.runs[0].n, 0) },
    { name: "Decisions", num: true, key: (e) => e.runs[0].d, cell: (e) => show(e.runs[0].d, 0) },
    { name: "p50 ms", num: true, key: (e) => e.runs[0].ms, cell: (e) => show(e.runs[0].ms) },
  ]),
  { name: "Instruction", key: (e) => e.runs[0].t, cell: (e) => el("span", { class: "cut" }, e.runs[0].t), wide: true },
];

const won = (e, index) => e.runs[index]?.o === "success";
const PAIRS = { A: (e) => e.runs[1] && won(e, 0) && !won(e, 1), B: (e) => e.runs[1] && !won(e, 0) && won(e, 1), both: (e) => won(e, 0) && won(e, 1),
  neither: (e) => e.runs[1] && !won(e, 0) && !won(e, 1), unlike: (e) => e.runs[1] && e.runs[0].o !== e.runs[1].o };
for (const e of DATA.episodes) e.text = `${e.id} ${DATA.scenes[e.s]} ${e.runs.map((run) => run?.t ?? "").join(" ")}`.toLowerCase();

let order = { column: null, down: false }, list = [], drawn = 0;

function wanted() {
  const words = control("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [kind, near, bin, scene, pair] = ["outcome", "near", "length", "scene", "pair"].map((name) => control(name)?.value ?? "");
  return (e) => words.every((word) => e.text.includes(word)) && (!kind || e.runs[0].o === kind) &&
    (!near || (e.runs[0].o !== "success" && String(e.runs[0].near) === near)) && (!bin || String(e.b) === bin) && (!scene || String(e.s) === scene) &&
    (!pair || PAIRS[pair](e));
}

function sorted(episodes) {
  if (!order.column) return episodes;
  const sign = order.down ? -1 : 1, keyed = episodes.map((e) => [order.column.key(e), e]);
  const compare = (a, b) => (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b);
  keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b))); // what has no value comes last
  return keyed.map(([, e]) => e);
}

function refresh() {
  list = sorted(DATA.episodes.filter(wanted()));
  drawn = 0;
  body.replaceChildren();
  more();
  const wins = list.filter((e) => won(e, 0)).length;
  control("count").textContent = `${list.length.toLocaleString("en")} of ${DATA.episodes.length.toLocaleString("en")} episodes` +
    (list.length ? ` · ${two ? "A " : ""}${((100 * wins) / list.length).toFixed(1)} % succeed` : "") +
    (two && list.length ? ` · B ${((100 * list.filter((e) => won(e, 1)).length) / list.length).toFixed(1)} %` : "");
}

function more() {
  const next = list.slice(drawn, drawn + PAGE);
  drawn += next.length;
  body.append(...next.map(rowOf));
  control("more").hidden = drawn >= list.length;
  control("more").textContent = `Show more (${(list.length - drawn).toLocaleString("en")} left)`;
}

function rowOf(episode) {
  const row = el("tr", { class: "row", id: `ep-${episode.id}`, tabindex: 0, "aria-expanded": "false" },
    ...columns.map((column) => el("td", { class: column.num ? "num" : column.wide ? "wide" : "" }, column.cell(episode))));
  row.episode = episode;
  return row;
}

function toggle(row) {
  const open = row.getAttribute("aria-expanded") === "true";
  row.setAttribute("aria-expanded", String(!open));
  if (open) return row.nextElementSibling.remove();
  const sides = row.episode.runs.map((run, index) => sideOf(row.episode, run, DATA.runs[index]));
  row.after(el("tr", { class: "detail" }, el("td", { colspan: columns.length }, el("div", { class: two ? "sides two" : "sides" }, ...sides))));
}

function openNamed() {
  const id = decodeURIComponent(location.hash.replace(/^#ep-/, "")), at = list.findIndex((e) => e.id === id);
  if (!location.hash.startsWith("#ep-") || at < 0) return;
  while (drawn <= at) more();
  const row = document.getElementById(`ep-${id}`);
  if (row.getAttribute("aria-expanded") === "false") toggle(row);
  row.scrollIntoView();
}

head.append(...columns.map((column) => {
  const th = el("th", { class: column.num ? "num" : "", scope: "col" }, el("button", { type: "button", onclick: () => {
    order = { column, down: order.column === column ? !order.down : Boolean(column.num) };
    for (const other of head.children) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    refresh();
  } }, column.name));
  return th;
}));
const options = (name, entries) => control(name)?.append(...entries.map(([value, label]) => el("option", { value }, label)));
options("outcome", Object.entries(DATA.outcomes));
options("length", DATA.lengths.map((label, index) => [index, label]));
options("scene", DATA.scenes.map((label, index) => [index, label]));
for (const name of ["search", "outcome", "near", "length", "scene", "pair"]) control(name)?.addEventListener("input", refresh);
control("reset").addEventListener("click", () => {
  for (const name of ["search", "outcome", "near", "length", "scene", "pair"]) if (control(name)) control(name).value = "";
  refresh();
});
body.addEventListener("click", (event) => { const row = event.target.closest("tr.row"); if (row) toggle(row); });
body.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.matches("tr.row")) toggle(event.target); });
control("more").addEventListener("click", more);
new IntersectionObserver((seen) => { if (seen[0].isIntersecting && drawn < list.length) more(); }, { rootMargin: "600px" }).observe(control("more"));
addEventListener("hashchange", openNamed);
refresh();
openNamed();

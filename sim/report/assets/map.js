// The map of an episode: the house from above, the expert's way dashed, the way taken, start, goal with its 3 m, end, and the agent at a decision.

// A way in centimetres as [[x, z], ...] from its first point and steps.
function points(way) {
  const out = [];
  for (let i = 0; i < way.length; i += 2) {
    const last = out[out.length - 1] ?? [0, 0];
    out.push([last[0] + way[i], last[1] + way[i + 1]]);
  }
  return out;
}

// How centimetres become pixels: by the house's picture, or, without one, by what there is to show.
function frameOf(episode, ways) {
  const house = DATA.maps[episode.s];
  if (house) return { ...house, at: ([x, z]) => [(x / 100 - house.x) * house.k, (z / 100 - house.z) * house.k] };
  const all = ways.flat().concat([episode.g]), k = 40;
  const low = [0, 1].map((axis) => Math.min(...all.map((p) => p[axis])) / 100 - 3.2);
  const high = [0, 1].map((axis) => Math.max(...all.map((p) => p[axis])) / 100 + 3.2);
  return { src: null, k, w: (high[0] - low[0]) * k, h: (high[1] - low[1]) * k, at: ([x, z]) => [(x / 100 - low[0]) * k, (z / 100 - low[1]) * k] };
}

function mapOf(episode, run, more) {
  const way = points(run.way), reference = points(episode.ref), frame = frameOf(episode, [way, reference]);
  const line = (list) => list.map((p) => frame.at(p).map((v) => v.toFixed(1)).join(",")).join(" ");
  const dot = (name, p, r) => draw("circle", { class: name, cx: frame.at(p)[0], cy: frame.at(p)[1], r });
  const agent = draw("path", { class: "agent", d: "M0-15L9 10L0 5L-9 10Z", visibility: "hidden" });
  const stops = more.at.map((index, n) => {
    const [x, y] = frame.at(way[Math.min(index, way.length - 1)]);
    return draw("circle", { class: "stop", cx: x, cy: y, r: 3.2, "data-n": n });
  });
  const picture = draw("svg", { class: "map", viewBox: `0 0 ${frame.w} ${frame.h}`, style: `width:min(100%, ${Math.round(Math.min(560, (420 * frame.w) / frame.h))}px)`, role: "img", "aria-label": "map of the episode" },
    frame.src && draw("image", { width: frame.w, height: frame.h, href: frame.src }),
    dot("area", episode.g, 3 * frame.k),
    draw("polyline", { class: "halo thin", points: line(reference) }), draw("polyline", { class: "ref", points: line(reference) }),
    draw("polyline", { class: "halo", points: line(way) }), draw("polyline", { class: "way", points: line(way) }),
    draw("g", {}, ...stops),
    dot("start", way[0], 8), dot("goal", episode.g, 10), dot(`end ${run.o}`, way[way.length - 1], 8), agent);
  const select = (n) => {
    const [x, y] = frame.at(way[Math.min(more.at[n] ?? 0, way.length - 1)]);
    const yaw = more.yaw ? more.yaw[n] : 0; // degrees, left positive, 0 looks along -z, which is up on the map
    agent.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${-yaw})`);
    agent.setAttribute("visibility", more.yaw ? "visible" : "hidden");
    stops.forEach((stop, i) => stop.classList.toggle("on", i === n));
  };
  return { picture, select };
}

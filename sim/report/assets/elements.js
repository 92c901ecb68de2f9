// Elements and numbers. Texts become text nodes only: nothing that an episode says is ever parsed as HTML.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const show = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const badge = (run) => run
  ? el("span", { class: `badge b-${run.o}`, title: DATA.outcomes[run.o] + (run.near && run.o !== "success" ? ", had been within 3 m" : "") },
      DATA.outcomes[run.o].split(":")[0] + (run.near && run.o !== "success" ? " · near" : ""))
  : el("span", { class: "badge" }, "not played");

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
// Ten probabilities of a decision, or null for a policy that has none.
function probabilities(letters) {
  if (!letters) return null;
  return DATA.labels.map((_, i) => (DIGITS.indexOf(letters[2 * i]) * 64 + DIGITS.indexOf(letters[2 * i + 1])) / 4095);
}
const actionName = (index) => (index < 0 ? "no valid answer" : DATA.labels[index]);

const DATA = JSON.parse(document.getElementById("data").textContent);

(() => {
  const list = document.getElementById("episodes");
  const rows = [...list.children];
  const [search, outcome, order, count] = ["search", "outcome", "order", "count"].map((id) => document.getElementById(id));
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !(words.every((word) => row.dataset.text.includes(word)) && (!outcome.value || row.dataset.outcome === outcome.value));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} episodes`;
  };
  const sort = () => {
    const key = order.value.replace("-", ""), sign = order.value.startsWith("-") ? -1 : 1;
    const sorted = key ? [...rows].sort((a, b) => sign * (a.dataset[key] - b.dataset[key])) : rows;
    list.append(...sorted);
  };
  search.addEventListener("input", show);
  outcome.addEventListener("change", show);
  order.addEventListener("change", sort);
  list.addEventListener("click", (event) => {
    const map = event.target.closest("svg.map");
    if (map) map.closest(".episode").classList.toggle("open");
  });
  show();
})();

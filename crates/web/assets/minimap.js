// All rows of the page in a strip at its right edge: what is severe, and what was searched for. A click goes there.

const SVG = "http://www.w3.org/2000/svg";

export function draw(table) {
  document.getElementById("minimap")?.remove();
  const rows = [...table.querySelectorAll("tr[id]")];
  const marked = rows.map((row, at) => ({ at, kind: kindOf(row) })).filter(({ kind }) => kind);
  if (!marked.length || table.offsetHeight < innerHeight) return;
  const map = document.createElementNS(SVG, "svg");
  map.id = "minimap";
  map.setAttribute("class", "minimap");
  map.setAttribute("viewBox", `0 0 1 ${rows.length}`);
  map.setAttribute("preserveAspectRatio", "none");
  // The rows say the same.
  map.setAttribute("aria-hidden", "true");
  for (const { at, kind } of marked) {
    const tick = document.createElementNS(SVG, "rect");
    for (const [name, value] of [["class", kind], ["x", 0], ["y", at], ["width", 1], ["height", 1]]) tick.setAttribute(name, value);
    map.append(tick);
  }
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const at = Math.floor(((event.clientY - box.top) / box.height) * rows.length);
    rows[Math.max(0, Math.min(at, rows.length - 1))].scrollIntoView({ block: "center" });
  });
  document.body.append(map);
}

function kindOf(row) {
  const severity = Number(row.className[1]);
  if (severity <= 2) return "b-crit";
  if (severity === 3) return "b-err";
  return row.querySelector("mark") ? "b-hit" : "";
}

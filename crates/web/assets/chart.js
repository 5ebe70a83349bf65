// The chart of the search page: uPlot in the place of the server's drawing, with zoom by drag. The drawing, its links and
// the table say the same without it.

const series = [
  ["other", "--bar-other"],
  ["warning", "--bar-warn"],
  ["err", "--bar-err"],
  ["crit", "--bar-crit"],
];
let plot = null;
let watch = null;
/** Groups that are not drawn, until somebody wants them again. */
const hidden = new Set();

const colour = (token) => {
  // light-dark() is worked out by the style of an element, not of a variable.
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  probe.style.color = `var(${token})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

/** Each entry of the legend hides its group, or shows it again; the others take the room. */
function legend(chart, changed) {
  for (const key of chart.querySelectorAll(".key")) {
    const group = key.dataset.group;
    const button = document.createElement("button");
    button.type = "button";
    button.className = key.className;
    button.dataset.group = group;
    button.textContent = key.textContent;
    button.setAttribute("aria-pressed", String(!hidden.has(group)));
    button.addEventListener("click", () => {
      if (!hidden.delete(group)) hidden.add(group);
      button.setAttribute("aria-pressed", String(!hidden.has(group)));
      changed();
    });
    key.replaceWith(button);
  }
}

export function draw(chart, run) {
  plot?.destroy();
  watch?.disconnect();
  plot = null;
  const image = chart?.querySelector("svg");
  // Where the machine sets the colours, the server's drawing has them and a canvas would not.
  if (!image || !window.uPlot || matchMedia("(forced-colors: active)").matches) return;
  const from = Number(chart.dataset.from);
  const bucket = Number(chart.dataset.bucket);
  const counts = Object.fromEntries(series.map(([name]) => [name, chart.dataset[name].split(",").map(Number)]));
  const length = counts.other.length;
  if (!(bucket > 0) || length < 2) return;
  const times = Array.from({ length }, (_, at) => (from + at * bucket + bucket / 2) / 1000);
  // Cumulative, the largest drawn first, so that the most severe stands at the base line.
  const order = ["crit", "err", "warning", "other"];
  const stacked = () => {
    const sums = {};
    let below = new Array(length).fill(0);
    for (const name of order) below = sums[name] = below.map((sum, at) => sum + (hidden.has(name) ? 0 : counts[name][at]));
    return [times, ...series.map(([name]) => sums[name])];
  };
  const zone = document.documentElement.dataset.zone;
  const isLong = length * bucket > 36 * 3600e3;
  const form = new Intl.DateTimeFormat("en-GB", isLong
    ? { timeZone: zone, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" }
    : { timeZone: zone, hour: "2-digit", minute: "2-digit", second: bucket < 60e3 ? "2-digit" : undefined });
  const half = bucket / 2000;
  // A time at the very edge would be cut, or stand on the numbers beside it.
  const isInside = (at) => {
    const pixels = (seconds) => (seconds / (length * half * 2)) * (chart.clientWidth - 68);
    return pixels(at - from / 1000) > 24 && pixels(from / 1000 + length * half * 2 - at) > 4;
  };
  const holder = document.createElement("div");
  holder.className = "plot";
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--border"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const options = {
    width: Math.max(200, chart.clientWidth),
    height: 98,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false } },
    scales: {
      x: { time: true, range: [times[0] - half, times[length - 1] + half] },
      y: { range: (_, __, max) => [0, Math.max(1, max)] },
    },
    axes: [
      { ...axis, size: 18, gap: 2, values: (_, ticks) => ticks.map((at) => (isInside(at) ? form.format(at * 1000) : "")) },
      { ...axis, size: 44, gap: 4, values: (_, ticks) => ticks.map((n) => (n >= 1e6 ? `${n / 1e6}M` : n >= 1e3 ? `${n / 1e3}k` : n)) },
    ],
    series: [{}, ...series.map(([name, token]) => ({
      label: name, fill: colour(token), width: 0, points: { show: false },
      paths: window.uPlot.paths.bars({ size: [0.9, 100], gap: 1 }),
    }))],
    hooks: {
      setSelect: [(u) => {
        if (u.select.width < 4) return;
        const at = (left) => Math.round(u.posToVal(left, "x") * 1000);
        zoom(at(u.select.left), at(u.select.left + u.select.width));
        u.setSelect({ left: 0, width: 0 }, false);
      }],
      setCursor: [(u) => {
        const at = u.cursor.idx;
        holder.title = at == null ? "" : `${form.format(times[at] * 1000 - bucket / 2)}: ` + order.map((name) => `${counts[name][at]} ${name}`).join(", ");
      }],
    },
  };
  const zoom = (start, end) => {
    const address = new URL(location.href);
    for (const name of ["range", "cursor", "back", "at"]) address.searchParams.delete(name);
    address.searchParams.set("from", new Date(start).toISOString());
    address.searchParams.set("to", new Date(end).toISOString());
    run(address.href);
  };
  plot = new window.uPlot(options, stacked(), holder);
  legend(chart, () => plot.setData(stacked()));
  // A click on a bar goes into it.
  let down = 0;
  plot.over.addEventListener("mousedown", (event) => { down = event.clientX; });
  plot.over.addEventListener("click", (event) => {
    const at = plot.cursor.idx;
    if (at == null || Math.abs(event.clientX - down) > 3) return;
    zoom(from + at * bucket, from + (at + 1) * bucket);
  });
  image.replaceWith(holder);
  chart.querySelector(".axis")?.remove();
  watch = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, chart.clientWidth), height: 98 }));
  watch.observe(chart);
}

// The pipeline's numbers, changed in place.

import { onKeys, say } from "./core.js";

const stale = document.getElementById("pipeline-stale");
const summary = document.getElementById("pipeline-summary");
let heard = Date.now();
const states = new Map();

const source = new EventSource("/api/v1/pipeline/stream");
source.addEventListener("patch", (event) => {
  heard = Date.now();
  stale.hidden = true;
  let changed = "";
  for (const [name, text] of Object.entries(JSON.parse(event.data))) {
    for (const element of document.querySelectorAll(`[data-f="${CSS.escape(name)}"]`)) {
      element.textContent = text.t;
      if (/\/(sign|state|short)$/.test(name)) element.setAttribute("class", text.c ?? "");
    }
    if (!name.endsWith("/state")) continue;
    if (states.has(name) && states.get(name) !== text.t) changed = `${name.split("/")[0]}: ${text.t}`;
    states.set(name, text.t);
  }
  if (changed) say(changed);
  const bad = [...states].filter(([, text]) => text && text !== "ok");
  summary.textContent = bad.length
    ? `${bad.map(([name, text]) => `${name.split("/")[0].replace("queue:", "queue ")}: ${text}`).join("; ")}.`
    : "All stages and queues are well.";
});

onKeys({ c: () => location.assign("/pipeline/clients") }, [["c", "clients"], ["← →", "from box to box, when one has the focus"]]);

// Without a box that has the focus these keys scroll, as ever.
document.querySelector(".map")?.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  const boxes = [...document.querySelectorAll(".map a")];
  const to = boxes[boxes.indexOf(event.target.closest("a")) + step];
  if (!to) return;
  event.preventDefault();
  to.focus();
});

setInterval(() => {
  const age = Math.round((Date.now() - heard) / 1000);
  if (age < 7) return;
  stale.hidden = false;
  stale.textContent = ` – stale, ${age} s old`;
}, 1000);

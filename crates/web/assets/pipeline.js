// The pipeline's numbers, changed in place.

import { onKeys, say } from "./core.js";

const stale = document.getElementById("pipeline-stale");
const hour = document.getElementById("hour");
let heard = Date.now();
const states = new Map();

const source = new EventSource(document.getElementById("pipeline").dataset.stream);
source.addEventListener("patch", (event) => {
  heard = Date.now();
  stale.hidden = true;
  let changed = "";
  for (const [name, text] of Object.entries(JSON.parse(event.data))) {
    const field = name.slice(name.lastIndexOf("/") + 1);
    for (const element of document.querySelectorAll(`[data-f="${CSS.escape(name)}"]`)) {
      if (field === "curve") element.setAttribute("d", text.t);
      else if (field === "box") element.setAttribute("class", text.t);
      else element.textContent = text.t;
      if (/^(sign|state|short)$/.test(field)) element.setAttribute("class", text.c ?? "");
    }
    if (field !== "state") continue;
    // Numbers in it change all the time.
    const state = `${text.c} ${text.t.replace(/\d+/g, "")}`;
    if (states.has(name) && states.get(name) !== state) changed = `${name.split("/")[0]}: ${text.t}`;
    states.set(name, state);
  }
  if (changed) say(changed);
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

// The drawings of the last hour have a number a minute; the server draws them.
async function redraw() {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const isOpen = hour.querySelector("details").open;
  const drawn = page.getElementById("hour");
  if (!drawn) return;
  hour.replaceChildren(...drawn.childNodes);
  hour.querySelector("details").open = isOpen;
}
if (hour) setInterval(redraw, 60e3);

setInterval(() => {
  const age = Math.round((Date.now() - heard) / 1000);
  if (age < 7) return;
  stale.hidden = false;
  stale.textContent = ` – stale, ${age} s old`;
}, 1000);

// Dead letters: dialogs in place of pages, keys, and how far a long act is. Dialogs ask what the server's
// pages ask: there is one renderer.
import { csrf, grouped, onKeys, say } from "./core.js";

const list = document.getElementById("acts") ?? document.createElement("form");
const hold = list.querySelector("button[formaction$='/hold']");
const buttons = {
  r: list.querySelector(".primary"),
  d: list.querySelector("button[formaction$='/discard']"),
};
const boxes = [...document.querySelectorAll("input[name=ids]")];
const all = Number(list.dataset.n ?? 1);

const dialog = document.createElement("dialog");
dialog.className = "ask";
dialog.setAttribute("aria-labelledby", "asked");
document.body.append(dialog);
let after = null;
dialog.addEventListener("close", () => after && location.assign(after));

function element(name, text, more = {}) {
  const made = Object.assign(document.createElement(name), more);
  made.textContent = text;
  return made;
}

/** Shows this; the focus is on what changes nothing. */
function show(...content) {
  dialog.replaceChildren(...content);
  dialog.querySelector("h1").id = "asked";
  const link = dialog.querySelector(".acts > a");
  const safe = element("button", link?.textContent ?? "Close", { type: "button" });
  if (link) link.replaceWith(safe);
  else dialog.append(safe);
  safe.addEventListener("click", () => dialog.close());
  if (!dialog.open) dialog.showModal();
  safe.focus();
}

/** Sends a form, and shows the page that answers it. */
async function ask(form, submitter) {
  const action = submitter?.getAttribute("formaction") ?? form.getAttribute("action");
  const body = new URLSearchParams(new FormData(form));
  try {
    const answer = await fetch(action, { method: "POST", body, headers: { Accept: "text/html" } });
    if (answer.redirected) return location.assign(answer.url);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = document.importNode(page.querySelector("#main > *"), true);
    content.querySelector("p > a[href='/dead-letters']")?.remove();
    if (body.has("step") && answer.ok) after = "/dead-letters";
    show(content);
  } catch {
    show(element("h1", "Nothing was done"), element("p", "The server does not answer."));
  }
}

const lines = async function* (answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
};

/** Does it, and tells how far it is. */
async function go(form) {
  const data = new FormData(form);
  const per_second = Number(data.get("per_second")) || undefined;
  const order = { ...Object.fromEntries(data), ids: data.getAll("ids"), per_second, progress: true };
  const action = form.getAttribute("action");
  const word = action.endsWith("/discard") ? "discarded" : order.mode ? "sent through the rules" : "put back";
  const heading = element("h1", "…");
  const bar = element("progress", "");
  const note = element("p", "Closing this does not stop it.", { className: "muted" });
  const problems = element("ul", "");
  show(heading, bar, note, problems);
  let told = null;
  try {
    const headers = { "Content-Type": "application/json", "X-Lf-Csrf": csrf };
    const answer = await fetch(`/api/v1${action}`, { method: "POST", body: JSON.stringify(order), headers });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    after = "/dead-letters";
    for await (told of lines(answer)) {
      const { done, failed, total, returned, outcome, problem } = told;
      if (problem) throw new Error(problem);
      bar.max = total;
      bar.value = done + failed;
      heading.textContent = `${grouped(done)} of ${grouped(total)} ${word}`
        + (failed ? `, ${grouped(failed)} stay` : "") + (returned ? `, ${grouped(returned)} came back` : "");
      say(heading.textContent);
      if (!outcome) continue;
      bar.hidden = true;
      note.textContent = word === "discarded" ? `Recorded in ${outcome.recorded_in}.`
        : returned === null ? "Looking whether any comes back …"
        : returned ? "What came back has a new reason." : "None came back so far.";
      if (!outcome.is_listed) note.textContent += " The store did not answer: the log has this, the list of acts has not.";
      problems.replaceChildren(...outcome.problems.map(({ id, why }) => element("li", `${id}: ${why}`)));
    }
    if (!told?.complete) throw new Error("The server does not answer any more. What was done is done.");
  } catch (error) {
    bar.hidden = true;
    note.className = "error";
    note.setAttribute("role", "alert");
    note.textContent = error.message;
  }
}

addEventListener("submit", (event) => {
  const { target, submitter } = event;
  const action = submitter?.getAttribute("formaction") ?? target.getAttribute("action");
  if (!/^\/dead-letters\/(requeue|discard|edit)$/.test(action)) return;
  event.preventDefault();
  if (dialog.contains(target) && target.elements.step && !action.endsWith("/edit")) go(target);
  else ask(target, submitter);
});

const ticked = () => boxes.filter((box) => box.checked).length;
const meant = () => {
  const n = ticked() || all;
  return `${grouped(n)} letter${n === 1 ? "" : "s"}`;
};

/** The buttons say how many letters they mean. */
function count() {
  const which = ticked() ? ` ${meant()}` : all > 1 ? ` all ${grouped(all)}` : "";
  if (!hold) return;
  buttons.r.textContent = `Put${which} back…`;
  buttons.d.textContent = `Discard${which}…`;
  hold.textContent = `Hold${which}…`;
}

if (hold) {
  const why = list.elements.why;
  why.closest("label").hidden = true;
  hold.addEventListener("click", (event) => {
    if (why.value) return;
    event.preventDefault();
    const form = document.createElement("form");
    form.className = "stack";
    const label = element("label", "Why ");
    const input = element("input", "", { required: true, maxLength: 500, autocomplete: "off" });
    label.append(input);
    form.append(label, element("button", `Hold ${meant()}`));
    form.addEventListener("submit", (sent) => {
      sent.preventDefault();
      why.value = input.value;
      list.requestSubmit(hold);
    });
    show(element("h1", `Hold ${meant()}?`), element("p", "Putting back and discarding pass over what is held, until it is released."), form);
  });
}

const mend = document.getElementById("mend");
if (mend) {
  const [heading, form] = mend.children;
  const button = element("button", "Mend…", { type: "button" });
  mend.replaceWith();
  list.append(button);
  button.addEventListener("click", () => show(element("h1", heading.textContent), form));
}

for (const box of boxes) box.addEventListener("change", count);
count();

/** Moves by letters, or by groups while none is open. */
function move(step) {
  const stops = boxes.length ? boxes : [...document.querySelectorAll(".groups a")];
  const at = stops.indexOf(document.activeElement);
  stops[at < 0 && step < 0 ? stops.length - 1 : at + step]?.focus();
}

let view = 0;
function nextView() {
  const parts = [...document.querySelectorAll("[data-view]")];
  const names = [...new Set(parts.map((part) => part.dataset.view))];
  const name = names[(view = (view + 1) % names.length)];
  for (const part of parts) part.open = part.dataset.view === name;
  document.querySelector(`[data-view=${name}]`)?.scrollIntoView({ block: "nearest" });
  say(name);
}

onKeys({
  j: () => move(1),
  k: () => move(-1),
  Enter: () => document.activeElement.closest("tr")?.querySelector("a")?.click(),
  a: () => {
    const isOn = ticked() < boxes.length;
    for (const box of boxes) box.checked = isOn;
    count();
    say(`${ticked()} chosen`);
  },
  r: () => buttons.r?.click(),
  d: () => buttons.d?.click(),
  o: () => hold?.click(),
  v: nextView,
}, [
  ["j k", "next, previous letter"], ["Space", "choose the letter"], ["Enter", "open it"], ["a", "choose all listed, or none"],
  ["r", "put back"], ["d", "discard"], ["o", "hold"], ["v", "next part of a letter"],
]);

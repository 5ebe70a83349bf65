// The search page: runs without loading the page anew, rows opened in place, keys, copying.
// There is one renderer, the server's: what is fetched is the page itself, taken over part by part as it comes.
import { copy, grouped, onKeys, say } from "./core.js";
import { draw } from "./chart.js";
import { draw as drawMap } from "./minimap.js";
import { addActs, idOf, lineOf, link, toggle, valueOf } from "./rows.js";
import { attach, remember } from "./suggest.js";

const main = document.getElementById("main");
const form = document.getElementById("query");
const parts = ["status", "chart", "facets"];
let running = null;
let hasRun = false;
let counting = null;

const rows = () => [...document.querySelectorAll("#rows tr[id]")];
/** The row that has the focus, or in whose details it is. */
const current = () => {
  const row = document.activeElement?.closest?.("#rows tr");
  return row?.matches(".details") ? row.previousElementSibling : row;
};

/** Runs the search of an address; the old rows stand, dimmed, until the first new ones come. */
async function run(address, { push = true } = {}) {
  running?.abort();
  counting?.abort();
  const abort = (running = new AbortController());
  if (push) history.pushState(null, "", address);
  const taken = { head: false, rows: 0, isMistaken: false, progress: "" };
  const begun = Date.now();
  const busy = setInterval(() => tellProgress(taken, begun), 150);
  main.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { signal: abort.signal, headers: { Accept: "text/html" } });
    if (!new URL(answer.url).pathname.startsWith("/search") || !/^(200|422)$/.test(answer.status)) {
      // To the form that asks who this is, or to the page that says what went wrong.
      location.assign(answer.url);
      return;
    }
    // A document that loads nothing and runs nothing, filled as the bytes come.
    const page = document.implementation.createHTMLDocument("");
    page.open();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    taken.isMistaken = answer.status === 422;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      page.write(value);
      take(page, taken);
    }
    page.close();
    take(page, taken, true);
    arrived();
  } catch (error) {
    // A newer search says for itself how it goes.
    if (running === abort) ended(error, taken, address);
  } finally {
    clearInterval(busy);
    if (running === abort) {
      running = null;
      main.classList.remove("busy");
      main.removeAttribute("aria-busy");
      progress.hidden = true;
    }
  }
}

/** While it takes long: how far it came, and the way to end it. */
const progress = document.createElement("p");
progress.className = "progress";
progress.hidden = true;
const cancel = document.createElement("button");
cancel.type = "button";
cancel.textContent = "Cancel";
cancel.addEventListener("click", () => running?.abort());
progress.append(document.createElement("span"), " ", cancel);

function tellProgress(taken, begun) {
  if (taken.rows === 0) main.classList.add("busy");
  if (Date.now() - begun < 500) return;
  document.getElementById("result").prepend(progress);
  progress.hidden = false;
  progress.firstChild.textContent = taken.progress || `searching, ${taken.rows} found`;
  if (taken.progress) say(taken.progress);
}

/** What came stays, and a line says why it is not all. */
function ended(error, taken, address) {
  const note = document.createElement("div");
  note.className = "note";
  const text = document.createElement("p");
  const again = document.createElement("a");
  again.className = "button";
  again.href = address;
  again.textContent = "Search again";
  const isCancelled = error.name === "AbortError";
  text.textContent = isCancelled ? "Cancelled" : "The server does not answer any more";
  text.append(taken.rows ? `: ${taken.progress || `${taken.rows} found so far`}. ` : ". The rows are those of the search before. ", again);
  note.append(text);
  const table = document.getElementById("rows");
  document.querySelector("#result > .note")?.remove();
  table.before(note);
  main.classList.toggle("old", taken.rows === 0);
  if (taken.rows) {
    // They tell of the search before.
    while (table.nextSibling) table.nextSibling.remove();
    for (const id of parts) document.getElementById(id)?.remove();
  }
  say(text.textContent);
}

/** Moves into this page what has come of the other one so far. */
function take(page, taken, isAll = false) {
  const result = page.getElementById("result");
  if (!result) return;
  if (!taken.head) {
    taken.head = true;
    takeForm(page.getElementById("query"));
    swap(page, ".tools");
    swap(page, "#notes");
    main.dataset.canonical = page.getElementById("main").dataset.canonical;
  }
  // Nothing ran: the rows that are there are of the query before.
  main.classList.toggle("old", taken.isMistaken);
  if (taken.isMistaken) return;
  document.getElementById("result").hidden = false;
  takeRows(page, taken, isAll);
  const scan = [...page.querySelectorAll(".scan")].pop();
  if (scan) taken.progress = scan.textContent.trim();
  if (!isAll) return;
  // The rows stand already, perhaps with the focus in them; what is below them is new.
  const [table, fresh] = [document.getElementById("rows"), document.importNode(result, true)];
  fresh.querySelector("#rows").remove();
  while (table.nextSibling) table.nextSibling.remove();
  table.after(...fresh.childNodes);
  for (const id of parts) swap(page, `#${id}`);
}

/** The first new row takes the place of the old ones, each further one goes behind it. */
function takeRows(page, taken, isAll) {
  const found = [...page.querySelectorAll("#rows tbody:not(.scan) > tr")];
  // The last one may still be on its way.
  if (!isAll) found.pop();
  if (found.length <= taken.rows && !isAll) return;
  const table = document.getElementById("rows");
  if (taken.rows === 0) {
    swap(page, "#rows thead");
    for (const old of [...table.tBodies, ...document.querySelectorAll("#result > .note")]) old.remove();
    table.createTBody();
    main.classList.remove("busy");
  }
  table.tBodies[0].append(...found.slice(taken.rows).map((row) => document.importNode(row, true)));
  taken.rows = found.length;
}

/** The form as the server understood it, but for what is being typed. */
function takeForm(fresh) {
  const input = form.elements.q;
  const wanted = fresh.querySelector("#q");
  if (document.activeElement !== input) input.value = wanted.value;
  for (const name of ["aria-invalid", "aria-describedby"]) {
    if (wanted.hasAttribute(name)) input.setAttribute(name, wanted.getAttribute(name));
    else input.removeAttribute(name);
  }
  form.querySelector("select").replaceWith(document.importNode(fresh.querySelector("select"), true));
  for (const hidden of form.querySelectorAll("input[type=hidden]")) hidden.remove();
  form.append(...[...fresh.querySelectorAll("input[type=hidden]")].map((hidden) => document.importNode(hidden, true)));
}

function swap(page, selector) {
  const [old, fresh] = [document.querySelector(selector), page.querySelector(selector)];
  if (fresh && old) old.replaceWith(document.importNode(fresh, true));
  else if (fresh) main.append(document.importNode(fresh, true));
  else if (old) old.remove();
}

/** What is to do when all of a page is there. */
function arrived() {
  const status = document.getElementById("status");
  if (status) {
    // What had the focus may be gone with the part that it stood in.
    if (hasRun && document.activeElement === document.body) status.focus({ preventScroll: true });
    hasRun = true;
    if (!main.classList.contains("old")) remember(new URL(location.href).searchParams.get("q") ?? "");
    document.title = `${status.querySelector("b").textContent} – Search – Logferry`;
    say(status.textContent.trim());
  }
  const frequent = document.querySelector(".fold");
  if (frequent) frequent.open = matchMedia("(min-width: 56.25em)").matches;
  // The address may have a row open from the start.
  document.querySelectorAll("#rows .details > td").forEach(addActs);
  draw(document.getElementById("chart"), run);
  drawMap(document.getElementById("rows"));
  countAll(status);
}

/** An estimate stands until the count is there. */
async function countAll(status) {
  const shown = status?.querySelector("b[data-estimate]");
  if (!shown) return;
  const params = new URL(location.href).searchParams;
  for (const name of ["range", "cursor", "back", "at", "limit"]) params.delete(name);
  for (const end of ["from", "to"]) if (status.dataset[end]) params.set(end, status.dataset[end]);
  if (!status.dataset.from) params.set("range", "all");
  params.set("exact", "1");
  counting?.abort();
  counting = new AbortController();
  try {
    const answer = await fetch(`/api/v1/count?${params}`, { signal: counting.signal });
    const count = answer.ok ? (await answer.json()).exact : null;
    if (count === null || !shown.isConnected) return;
    shown.textContent = `${grouped(count)} event${count === 1 ? "" : "s"}`;
    shown.removeAttribute("data-estimate");
    document.title = `${shown.textContent} – Search – Logferry`;
  } catch {
    // Something else is asked for by now, or the time was up: the estimate says that it is one.
  }
}

/** Opens a row, or closes it, and says so in the address. */
async function open(row) {
  const isOpen = await toggle(row, "This event is gone: it was older than what is kept.");
  show(isOpen ? row : null);
}

/** The address bar tells which row is open; the way back does not go row by row. */
function show(row) {
  const address = new URL(location.href);
  if (row) address.searchParams.set("at", idOf(row));
  else address.searchParams.delete("at");
  history.replaceState(null, "", address);
}

/** A link that finds the same later: absolute times, the canonical query, the row. */
function permalink(row) {
  const address = new URL("/search", location.href);
  const old = new URL(location.href).searchParams;
  if (main.dataset.canonical) address.searchParams.set("q", main.dataset.canonical);
  const times = document.getElementById("status")?.dataset;
  if (times?.from) address.searchParams.set("from", times.from);
  if (times?.to) address.searchParams.set("to", times.to);
  for (const name of ["by", "sort", "cols", "cursor", "back"]) if (old.get(name)) address.searchParams.set(name, old.get(name));
  if (row) address.searchParams.set("at", idOf(row));
  return address.href;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const params = new URLSearchParams();
  const usual = form.elements.range.dataset.usual;
  for (const [name, value] of new FormData(form)) {
    if (value !== "" && !(name === "range" && value === usual)) params.append(name, value);
  }
  run(String(params) ? `/search?${params}` : "/search");
});
form.addEventListener("change", (event) => {
  if (event.target.name === "range") form.requestSubmit();
});

main.addEventListener("click", async (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const act = event.target.closest("[data-act]");
  if (act) {
    const row = act.closest(".details").previousElementSibling;
    if (act.dataset.act === "value") return copy(valueOf(act), "Value");
    if (act.dataset.act === "link") return copy(permalink(row), "Link");
    const answer = await fetch(`/api/v1/events/${idOf(row)}`);
    return copy(await answer.text(), "JSON");
  }
  const anchor = event.target.closest("a[href]");
  const row = event.target.closest("tr[id]");
  if (row && (!anchor || anchor === link(row))) {
    if (!anchor && String(getSelection()) !== "") return;
    event.preventDefault();
    link(row).focus({ preventScroll: true });
    open(row);
    return;
  }
  if (anchor && !anchor.hasAttribute("download") && new URL(anchor.href).pathname === "/search" && anchor.origin === location.origin) {
    event.preventDefault();
    run(anchor.href);
  }
});

// What is kept, or linked to, has the row that is open now.
main.addEventListener("submit", (event) => {
  const at = event.target.elements.at;
  if (at) at.value = new URL(location.href).searchParams.get("at") ?? "";
});

addEventListener("popstate", () => run(location.href, { push: false }));

/** Moves by rows, or by rows that fit. */
function move(step, fits = () => true) {
  const all = rows();
  let at = all.indexOf(current());
  if (at < 0) at = step > 0 ? -1 : all.length;
  for (at += step; at >= 0 && at < all.length; at += step) {
    if (!fits(all[at])) continue;
    link(all[at]).focus();
    all[at].scrollIntoView({ block: "nearest" });
    return;
  }
}

const isAtLeast = (code) => (row) => Number(row.className[1]) <= code;

/** The range moved by half of itself: the one of the address, which is never late, or the one that was found. */
function shift(direction) {
  const params = new URL(location.href).searchParams;
  const found = document.getElementById("status")?.dataset;
  const [from, to] = ["from", "to"].map((end) => Date.parse(params.get(end) ?? found?.[end] ?? ""));
  if (!(from < to)) return;
  between(from + ((to - from) / 2) * direction, to + ((to - from) / 2) * direction);
}

function between(from, to) {
  const address = new URL(location.href);
  for (const name of ["range", "cursor", "back", "at"]) address.searchParams.delete(name);
  address.searchParams.set("from", new Date(from).toISOString());
  address.searchParams.set("to", new Date(to).toISOString());
  run(address.href);
}

/** Follows the link that narrows to the value which has the focus, or away from it. */
function narrow(which) {
  const value = document.activeElement.closest(".pairs > div, .facets li");
  const links = value?.querySelectorAll("a[href^='/search']");
  links?.[which]?.click();
}

/** Into the row's minute. */
function zoom() {
  const minute = Date.parse(current()?.querySelector("time").dateTime ?? "");
  if (minute) between(minute - (minute % 60000), minute - (minute % 60000) + 60000);
}

onKeys({
  "/": () => form.elements.q.focus(),
  j: () => move(1),
  k: () => move(-1),
  e: () => move(1, isAtLeast(3)),
  E: () => move(-1, isAtLeast(3)),
  w: () => move(1, isAtLeast(4)),
  W: () => move(-1, isAtLeast(4)),
  n: () => move(1, (row) => row.querySelector("mark")),
  N: () => move(-1, (row) => row.querySelector("mark")),
  c: () => current() && location.assign(`/event/${idOf(current())}/context#${current().id}`),
  y: () => current() && copy(lineOf(current()), "Line"),
  Y: () => copy(permalink(current()), "Link"),
  f: () => narrow(0),
  F: () => narrow(1),
  "[": () => shift(-1),
  "]": () => shift(1),
  z: zoom,
  Z: () => history.back(),
  t: () => location.assign(`/tail?q=${encodeURIComponent(form.elements.q.value)}`),
  ".": () => document.getElementById("facets")?.toggleAttribute("hidden"),
  x: () => run("/search"),
}, [
  ["/", "to the query"], ["j k", "next, previous row"], ["Enter", "open the row"], ["c", "what stood around it"],
  ["e E", "next, previous err or worse"], ["w W", "next, previous warning or worse"], ["n N", "next, previous hit"],
  ["y Y", "copy line, copy link"], ["f F", "only this value, all but it"], ["[ ]", "range back, forward"],
  ["z Z", "into the row's minute, back"], ["t", "tail this query"], [".", "frequent values on, off"], ["x", "clear"],
  ["Esc", "cancel, close"],
]);

addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (running) return running.abort();
  // Out of what is open below a row, back to the row.
  const place = event.target.closest?.("tr.open, tr.details");
  const row = place?.matches(".details") ? place.previousElementSibling : place;
  if (!row) return;
  link(row).focus();
  open(row);
});

attach(form.elements.q);
if (document.readyState === "loading") addEventListener("DOMContentLoaded", arrived);
else arrived();

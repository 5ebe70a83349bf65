// The search page: runs without loading the page anew, rows opened in place, keys, copying.
// There is one renderer, the server's: what is fetched is the page itself, taken over part by part as it comes.
import { copy, hasKeys, say } from "./core.js";
import { draw } from "./chart.js";
import { attach } from "./suggest.js";

const main = document.getElementById("main");
const form = document.getElementById("query");
const parts = ["status", "chart", "facets"];
let running = null;

const rows = () => [...document.querySelectorAll("#rows tr[id]")];
const link = (row) => row?.querySelector("a");
const current = () => document.activeElement?.closest?.("tr[id]");

/** Runs the search of an address; the old rows stand, dimmed, until the first new ones come. */
async function run(address, { push = true } = {}) {
  running?.abort();
  const abort = (running = new AbortController());
  if (push) history.pushState(null, "", address);
  const busy = setTimeout(() => main.classList.add("busy"), 150);
  main.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { signal: abort.signal, headers: { Accept: "text/html" } });
    if (answer.redirected && !new URL(answer.url).pathname.startsWith("/search")) {
      location.assign(answer.url);
      return;
    }
    // A document that loads nothing and runs nothing, filled as the bytes come.
    const page = document.implementation.createHTMLDocument("");
    page.open();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const taken = { head: false, rows: 0, isMistaken: answer.status === 422 };
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
    if (error.name !== "AbortError") say("The search failed: the server does not answer.");
  } finally {
    clearTimeout(busy);
    if (running === abort) {
      running = null;
      main.classList.remove("busy");
      main.removeAttribute("aria-busy");
    }
  }
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
  // The last row may still be on its way.
  const found = page.querySelectorAll("#rows tr[id]").length - (isAll ? 0 : 1);
  if (isAll) {
    swap(page, "#result");
    for (const id of parts) swap(page, `#${id}`);
  } else if (found > taken.rows) {
    taken.rows = found;
    main.classList.remove("busy");
    document.getElementById("rows").replaceWith(document.importNode(page.getElementById("rows"), true));
  } else {
    const scan = [...page.querySelectorAll(".scan")].pop();
    if (scan) say(scan.textContent.trim());
  }
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
  else if (old && selector !== "#result") old.remove();
}

/** What is to do when all of a page is there. */
function arrived() {
  const status = document.getElementById("status");
  if (status) {
    document.title = `${status.querySelector("b").textContent} – Search – Logferry`;
    say(status.textContent.trim());
  }
  draw(document.getElementById("chart"), run);
}

/** Opens a row below itself, or closes it. */
async function toggle(row) {
  const next = row.nextElementSibling;
  if (next?.classList.contains("details")) {
    next.remove();
    row.classList.remove("open");
    show(null);
    return;
  }
  const address = new URL(link(row).href);
  address.searchParams.set("fragment", "1");
  const answer = await fetch(address);
  const details = document.createElement("tr");
  details.className = "details";
  const cell = details.insertCell();
  cell.colSpan = 5;
  if (answer.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    cell.append(...document.adoptNode(page.body).childNodes);
    const bar = cell.querySelector(".acts-bar");
    for (const [name, what] of [["Copy JSON", "json"], ["Copy link", "link"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.dataset.act = what;
      bar?.append(button);
    }
  } else {
    cell.textContent = "This event cannot be shown: " + (answer.status === 404 ? "it is gone." : "the server does not answer.");
  }
  row.after(details);
  row.classList.add("open");
  show(row);
}

/** The address bar tells which row is open; the way back does not go row by row. */
function show(row) {
  const address = new URL(location.href);
  if (row) address.searchParams.set("at", row.id.slice(2));
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
  for (const name of ["by", "sort", "cursor", "back"]) if (old.get(name)) address.searchParams.set(name, old.get(name));
  if (row) address.searchParams.set("at", row.id.slice(2));
  return address.href;
}

const lineOf = (row) => [...row.cells].map((cell) => cell.innerText.trim()).join(" ");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") params.append(name, value);
  run(`/search?${params}`);
});
form.addEventListener("change", (event) => {
  if (event.target.name === "range") form.requestSubmit();
});

main.addEventListener("click", async (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const act = event.target.closest("[data-act]");
  if (act) {
    const row = act.closest(".details").previousElementSibling;
    if (act.dataset.act === "link") return copy(permalink(row), "Link");
    const answer = await fetch(`/api/v1/events/${row.id.slice(2)}`);
    return copy(await answer.text(), "JSON");
  }
  const anchor = event.target.closest("a[href]");
  const row = event.target.closest("tr[id]");
  if (row && (!anchor || anchor === link(row))) {
    if (!anchor && String(getSelection()) !== "") return;
    event.preventDefault();
    link(row).focus({ preventScroll: true });
    toggle(row);
    return;
  }
  if (anchor && !anchor.hasAttribute("download") && new URL(anchor.href).pathname === "/search" && anchor.origin === location.origin) {
    event.preventDefault();
    run(anchor.href);
  }
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

/** The range moved by half of itself. */
function shift(direction) {
  const times = document.getElementById("status")?.dataset;
  if (!times?.from) return;
  const [from, to] = [Date.parse(times.from), Date.parse(times.to)];
  between(from + ((to - from) / 2) * direction, to + ((to - from) / 2) * direction);
}

function between(from, to) {
  const address = new URL(location.href);
  for (const name of ["range", "cursor", "back", "at"]) address.searchParams.delete(name);
  address.searchParams.set("from", new Date(from).toISOString());
  address.searchParams.set("to", new Date(to).toISOString());
  run(address.href);
}

const pages = { s: "/search", t: "/tail", p: "/pipeline", d: "/dead-letters", o: "/sources" };
let isGoing = false;

const keys = {
  "/": () => form.elements.q.focus(),
  j: () => move(1),
  k: () => move(-1),
  e: () => move(1, isAtLeast(3)),
  E: () => move(-1, isAtLeast(3)),
  w: () => move(1, isAtLeast(4)),
  W: () => move(-1, isAtLeast(4)),
  n: () => move(1, (row) => row.querySelector("mark")),
  N: () => move(-1, (row) => row.querySelector("mark")),
  c: () => current() && location.assign(`/event/${current().id.slice(2)}/context`),
  y: () => current() && copy(lineOf(current()), "Line"),
  Y: () => copy(permalink(current()), "Link"),
  "[": () => shift(-1),
  "]": () => shift(1),
  z: () => {
    const minute = Date.parse(current()?.querySelector("time").dateTime ?? "");
    if (minute) between(minute - (minute % 60000), minute - (minute % 60000) + 60000);
  },
  Z: () => history.back(),
  t: () => location.assign(`/tail?q=${encodeURIComponent(form.elements.q.value)}`),
  ".": () => document.getElementById("facets")?.toggleAttribute("hidden"),
  x: () => run("/search"),
  "?": sheet,
  g: () => { isGoing = true; },
};

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) return running.abort();
  const isField = event.target.closest?.("input, textarea, select, dialog");
  if (!hasKeys || isField || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isGoing) {
    isGoing = false;
    const entry = document.querySelector(`.bar nav a[href="${pages[event.key]}"]`);
    if (entry) location.assign(entry.href);
    return;
  }
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** The sheet of keys. */
function sheet() {
  let dialog = document.getElementById("keys");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.setAttribute("aria-label", "Keys");
    const list = document.createElement("div");
    list.className = "keys";
    for (const [key, what] of [
      ["/", "to the query"], ["j k", "next, previous row"], ["Enter", "open the row"], ["c", "what stood around it"],
      ["e E", "next, previous err or worse"], ["w W", "next, previous warning or worse"], ["n N", "next, previous hit"],
      ["y Y", "copy line, copy link"], ["[ ]", "range back, forward"], ["z Z", "into the row's minute, back"],
      ["t", "tail this query"], [".", "frequent values on, off"], ["x", "clear"], ["g s t p d o", "go to a page"],
      ["Esc", "cancel, close"], ["?", "this sheet"],
    ]) {
      const name = document.createElement("kbd");
      name.textContent = key;
      const text = document.createElement("span");
      text.textContent = what;
      list.append(name, text);
    }
    const close = document.createElement("button");
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(list, close);
    document.body.append(dialog);
  }
  dialog.showModal();
}

attach(form.elements.q);
if (document.readyState === "loading") addEventListener("DOMContentLoaded", arrived);
else arrived();

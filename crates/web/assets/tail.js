// Live tail: follows, pauses, marks, and tells what was not shown. Rows come as HTML from the server.

import { copy, csrf, grouped, onKeys, say } from "./core.js";
import { idOf, lineOf, link, toggle, valueOf } from "./rows.js";
import { attach } from "./suggest.js";

const RING = 5000; // Events that wait while paused.
const DOM = 1000; // Rows in the page.
const HIDDEN_EVERY = 5000; // Milliseconds between batches in a tab that nobody sees.

const $ = (id) => document.getElementById(id);
const form = $("tail-form");
const log = $("tail-log");
const rows = $("tail-rows");
const state = $("tail-state");
const pause = $("tail-pause");
const follow = $("tail-follow");
const announce = $("tail-announce");
const problem = $("tail-problem");

let source = null;
let following = true;
let isAway = false; // Scrolled up since it followed.
let after = log.dataset.after;
let mode = "";
let lastStat = null;
let lastMatch = null;
let waiting = []; // Rows and marks that are not in the page yet.
let waitingRows = 0;
let lostWaiting = 0;
let flushAt = 0;
let severe = { count: 0, text: "" };

for (const element of [pause, $("tail-mark"), $("tail-clear"), announce]) element.hidden = false;

function line(text, kind, link) {
  const row = document.createElement("tr");
  row.className = `tail-${kind}`;
  const cell = document.createElement("td");
  cell.colSpan = 5;
  cell.textContent = text;
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.textContent = "open in Search";
    cell.append(" · ", anchor);
  }
  row.append(cell);
  return row;
}

const clock = (at) => (at ? at.slice(11, 19) : "");

function searchLink(from, to) {
  const params = new URLSearchParams({ q: form.elements.q.value });
  if (from && to) {
    params.set("from", from);
    // The end of a range is not in it.
    params.set("to", new Date(Date.parse(to) + 1).toISOString());
  }
  return `/search?${params}`;
}

/** Takes rows that are in the page already out of a fragment; the store and the broker may both tell of one. */
function fresh(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.querySelectorAll("tr")].filter((row) => !row.id || !document.getElementById(row.id));
}

function put(parts) {
  for (const row of parts) rows.append(row);
  let extra = rows.children.length - DOM;
  while (extra-- > 0) rows.firstElementChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

function arrive(parts) {
  if (following && !document.hidden) return put(parts);
  waiting.push(...parts);
  waitingRows += parts.length;
  while (waiting.length > RING) {
    waiting.shift();
    lostWaiting++;
  }
  if (following && Date.now() - flushAt > HIDDEN_EVERY) flush();
  show();
}

function flush() {
  flushAt = Date.now();
  if (lostWaiting) put([line(`${grouped(lostWaiting)} lines gave way while paused`, "gap", searchLink())]);
  // What would be taken out of the page at once need not go in.
  put(waiting.slice(-DOM));
  waiting = [];
  waitingRows = 0;
  lostWaiting = 0;
}

function setFollowing(on) {
  following = on;
  pause.setAttribute("aria-pressed", String(!on));
  pause.textContent = on ? "❚❚ Pause" : "▶ Follow";
  if (on) {
    isAway = false;
    flush();
    log.scrollTop = log.scrollHeight;
  }
  show();
}

function show() {
  follow.hidden = following;
  follow.textContent = `▼ ${grouped(waitingRows)} new – follow`;
  const parts = [following ? "following" : "paused"];
  if (mode === "store") parts.push("the broker is away: new rows of the store every 2 s");
  if (mode === "none") parts.push("neither broker nor store answers; trying again");
  if (mode === "lost") parts.push("the connection is lost; trying again");
  if (lastStat) {
    parts.push(`${grouped(lastStat.in_s)}/s arrive, ${grouped(lastStat.match_s)}/s match`);
    if (lastStat.behind_ms !== undefined) parts.push(`${(lastStat.behind_ms / 1000).toFixed(1)} s behind`);
    if (lastStat.in_s && !lastStat.match_s && lastMatch) parts.push(`last match ${lastMatch}`);
  }
  state.textContent = parts.join(" · ");
  state.className = mode === "broker" || mode === "" ? "muted" : "caution";
}

function tell(parts) {
  const wanted = announce.querySelector("select").value;
  if (wanted === "off") return;
  for (const row of parts) {
    const isSevere = /^s[0-3]\b/.test(row.className);
    if (wanted === "errors" && !isSevere) continue;
    severe.count++;
    severe.text = row.lastElementChild.textContent.slice(0, 120);
  }
  if (!severe.count) return;
  say(`${severe.count} ${wanted === "errors" ? "errors" : "lines"}, last: ${severe.text}`);
  severe = { count: 0, text: "" };
}

function connect() {
  source?.close();
  lastStat = null;
  show();
  const params = new URLSearchParams({ q: form.elements.q.value, html: "1", backfill: "100" });
  if (after) params.set("after", after);
  source = new EventSource(`/api/v1/tail?${params}`);
  source.addEventListener("rows", (event) => {
    after = event.lastEventId || after;
    const parts = fresh(JSON.parse(event.data).html);
    if (!parts.length) return;
    lastMatch = new Date().toLocaleTimeString();
    arrive(parts);
    tell(parts);
  });
  source.addEventListener("gap", (event) => {
    const gap = JSON.parse(event.data);
    const number = gap.n === null ? "events" : `${grouped(gap.n)} events`;
    const kind = gap.unseen ? "too fast to be looked at" : "too fast";
    arrive([line(`${number} not shown here (${kind}, ${clock(gap.from)}–${clock(gap.to)})`, "gap", searchLink(gap.from, gap.to))]);
  });
  source.addEventListener("stat", (event) => {
    lastStat = JSON.parse(event.data);
    show();
  });
  source.addEventListener("source", (event) => {
    mode = JSON.parse(event.data).mode;
    show();
  });
  source.onopen = () => {
    if (mode === "lost") arrive([line("connected again", "mark")]);
    mode = "";
    problem.hidden = true;
  };
  source.onerror = () => {
    mode = "lost";
    lastStat = null;
    show();
    // A stream that was refused is not tried again by the browser.
    if (source.readyState === EventSource.CLOSED) refused(params);
  };
}

async function refused(params) {
  try {
    const answer = await fetch(`/api/v1/tail?${params}`, { headers: { accept: "application/problem+json" } });
    if (!answer.ok) {
      problem.textContent = (await answer.json()).detail;
      problem.hidden = false;
      if (answer.status === 429 || answer.status >= 500) setTimeout(connect, 5000);
      return;
    }
    await answer.body?.cancel();
  } catch {
    // The server is away.
  }
  setTimeout(connect, 2000);
}

/** The old filter goes on until the new one is good. */
async function refilter() {
  const q = form.elements.q.value;
  const answer = await fetch(`/api/v1/query/check`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-lf-csrf": csrf },
    body: JSON.stringify({ q }),
  });
  const checked = answer.ok ? await answer.json() : null;
  if (checked && !checked.ok) {
    problem.textContent = checked.error?.message ?? "This query cannot be read.";
    problem.hidden = false;
    return;
  }
  problem.hidden = true;
  history.pushState(null, "", q ? `/tail?${new URLSearchParams({ q })}` : "/tail");
  $("tail-search").href = searchLink();
  arrive([line(`filter: ${q || "everything"}`, "mark")]);
  after = "";
  connect();
}

function mark() {
  arrive([line(`mark ${new Date().toLocaleTimeString()}`, "mark")]);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  refilter();
});
addEventListener("popstate", () => location.reload());
pause.addEventListener("click", () => setFollowing(!following));
follow.addEventListener("click", () => setFollowing(true));
$("tail-mark").addEventListener("click", mark);
$("tail-clear").addEventListener("click", () => rows.replaceChildren());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && following) flush();
});
// Scrolling up pauses; coming back to the end goes on. Whoever paused at the end has not been away from it.
log.addEventListener("scroll", () => {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (!isAtEnd) {
    isAway = true;
    if (following) setFollowing(false);
  } else if (isAway && !following && !waiting.length) {
    setFollowing(true);
  }
});
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  if (following && selection && !selection.isCollapsed && log.contains(selection.anchorNode)) setFollowing(false);
});
// A row opens in its place, which pauses. One that was just published may not be stored yet.
log.addEventListener("click", async (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const act = event.target.closest("[data-act]");
  if (act) {
    const row = act.closest(".details").previousElementSibling;
    if (act.dataset.act === "value") return copy(valueOf(act), "Value");
    if (act.dataset.act === "link") return copy(new URL(`/event/${idOf(row)}`, location.href).href, "Link");
    return copy(await (await fetch(`/api/v1/events/${idOf(row)}`)).text(), "JSON");
  }
  const row = event.target.closest("tr[id]");
  const anchor = event.target.closest("a[href]");
  if (!row || (anchor && anchor !== link(row)) || (!anchor && String(getSelection()) !== "")) return;
  event.preventDefault();
  setFollowing(false);
  link(row).focus({ preventScroll: true });
  toggle(row, "This event is not stored yet. Close it and open it again in a moment.");
});

/** Moves the focus by rows that fit. */
function move(step, fits = () => true) {
  const all = [...rows.querySelectorAll("tr[id]")];
  let at = all.indexOf(document.activeElement.closest("tr[id]"));
  if (at < 0) at = step > 0 ? -1 : all.length;
  for (at += step; at >= 0 && at < all.length; at += step) {
    if (!fits(all[at])) continue;
    setFollowing(false);
    link(all[at]).focus();
    return;
  }
}

const isAtLeast = (code) => (row) => Number(row.className[1]) <= code;
const isRow = () => document.activeElement.closest("tr[id]");

onKeys({
  " ": () => setFollowing(!following),
  m: mark,
  Enter: mark,
  G: () => setFollowing(true),
  s: () => $("tail-search").click(),
  "/": () => form.elements.q.focus(),
  j: () => move(1),
  k: () => move(-1),
  e: () => move(1, isAtLeast(3)),
  E: () => move(-1, isAtLeast(3)),
  w: () => move(1, isAtLeast(4)),
  W: () => move(-1, isAtLeast(4)),
  y: () => isRow() && copy(lineOf(isRow()), "Line"),
}, [
  ["Space", "pause, go on"], ["m, Enter", "draw a mark"], ["G", "follow"], ["/", "to the filter"], ["s", "search the same"],
  ["j k", "next, previous row"], ["e E", "next, previous err or worse"], ["w W", "next, previous warning or worse"],
  ["y", "copy line"],
]);

attach(form.elements.q);
log.scrollTop = log.scrollHeight;
connect();

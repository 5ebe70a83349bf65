// Live tail: follows, pauses, marks, and tells what was not shown. Rows come as HTML from the server.

import { csrf, hasKeys, say } from "./core.js";

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
  if (lostWaiting) put([line(`${lostWaiting.toLocaleString()} lines gave way while paused`, "gap", searchLink())]);
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
    flush();
    log.scrollTop = log.scrollHeight;
  }
  show();
}

function show() {
  follow.hidden = following;
  follow.textContent = `▼ ${waitingRows.toLocaleString()} new – follow`;
  const parts = [following ? "following" : "paused"];
  if (mode === "store") parts.push("the broker is away: new rows of the store every 2 s");
  if (mode === "none") parts.push("neither broker nor store answers; trying again");
  if (mode === "lost") parts.push("the connection is lost; trying again");
  if (lastStat) {
    parts.push(`${lastStat.in_s.toLocaleString()}/s arrive, ${lastStat.match_s.toLocaleString()}/s match`);
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
    const number = gap.n === null ? "events" : `${gap.n.toLocaleString()} events`;
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
// Scrolling up pauses; coming back to the end goes on.
log.addEventListener("scroll", () => {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (following && !isAtEnd) setFollowing(false);
  else if (!following && isAtEnd && !waiting.length) setFollowing(true);
});
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  if (following && selection && !selection.isCollapsed && log.contains(selection.anchorNode)) setFollowing(false);
});
document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA|BUTTON|A)$/.test(event.target.tagName);
  if (!hasKeys || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    " ": () => setFollowing(!following),
    m: mark,
    Enter: mark,
    G: () => setFollowing(true),
    s: () => $("tail-search").click(),
    "/": () => form.elements.q.focus(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

log.scrollTop = log.scrollHeight;
connect();

// Keys of the pages of sources, and a list that stays fresh.
import { onKeys, say } from "./core.js";

const EVERY = 10e3;
/** Older data are told to be old. */
const STALE = 3 * EVERY;

const state = document.getElementById("state");

/** Moves by sources; Enter follows the link that has the focus. */
function move(step) {
  const links = [...document.querySelectorAll("th a[href^='/sources/']")];
  const at = links.indexOf(document.activeElement);
  links[at < 0 && step < 0 ? links.length - 1 : at + step]?.focus();
}

if (state) {
  onKeys({
    j: () => move(1),
    k: () => move(-1),
    s: () => {
      state.selectedIndex = (state.selectedIndex + 1) % state.length;
      state.form.requestSubmit();
    },
  }, [["j k", "next, previous source"], ["Enter", "open it"], ["s", "only those of the next state"]]);
  stayFresh();
} else {
  onKeys({ m: () => document.querySelector("form[action$='mute'] :is(select, button)")?.focus() }, [["m", "to muting"]]);
}

function stayFresh() {
  const shown = document.getElementById("sources");
  const stale = document.getElementById("source-stale");
  const url = new URL(location.href);
  url.searchParams.set("part", "table");
  let fresh = Date.now();
  let asked = 0;
  let isAsking = false;

  /** What is there now; null where nobody answers, or leads whoever is signed out elsewhere. */
  async function ask() {
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(STALE) });
      if (!answer.ok || answer.redirected) return null;
      const next = document.createElement("template");
      next.innerHTML = await answer.text();
      return next.content;
    } catch {
      return null;
    }
  }

  async function refresh() {
    isAsking = true;
    asked = Date.now();
    try {
      const table = await ask();
      // How old the data are is told below.
      if (table && patch(shown, table)) fresh = Date.now();
    } finally {
      isAsking = false;
    }
  }

  setInterval(() => {
    if (document.hidden) return;
    const now = Date.now();
    if (!isAsking && now - asked >= EVERY && now - fresh >= EVERY) refresh();
    stale.hidden = now - fresh < STALE;
    if (!stale.hidden) stale.textContent = `Stale: as of ${Math.round((now - fresh) / 1000)} s ago.`;
  }, 500);
}

/** Whether somebody has selected text in there. */
function isSelected(element) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(element, true);
}

/** Makes what is shown be like `next`; false while that would take a selection away. */
function patch(shown, next) {
  const rows = (root) => [...root.querySelectorAll("tbody tr")];
  const [were, are] = [rows(shown), rows(next)];
  const isAlike = were.length > 0 && were.length === are.length && were.every((row, at) => row.dataset.host === are[at].dataset.host);
  if (!isAlike) {
    if (isSelected(shown)) return false;
    const focused = shown.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    shown.replaceChildren(...next.childNodes);
    if (focused) shown.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    say(shown.querySelector("h1").textContent);
    return true;
  }
  let isWhole = true;
  const same = (old, fresh) => {
    if (old.outerHTML === fresh.outerHTML) return;
    if (isSelected(old) || old.contains(document.activeElement)) {
      // A link that has the focus is the same link.
      isWhole &&= !isSelected(old);
      return;
    }
    old.replaceWith(fresh);
  };
  const head = shown.querySelector("h1").textContent;
  for (const css of ["h1", "#source-notes", "#source-pages"]) same(shown.querySelector(css), next.querySelector(css));
  were.forEach((row, at) => {
    // A cell that is put in place of another one leaves its row.
    const cells = [...are[at].cells];
    [...row.cells].forEach((cell, column) => same(cell, cells[column]));
  });
  if (shown.querySelector("h1").textContent !== head) say(shown.querySelector("h1").textContent);
  return isWhole;
}

// What every page has: copying, saying, menus, keys. Without it the pages work as well.

const root = document.documentElement;

/** What forms and requests carry, to show that they come from our pages. */
export let csrf = root.dataset.csrf;

/** After somebody signed in on this page. */
export function renew(token) {
  csrf = token;
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = token;
}

/** 12345 as pages write it. */
export const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");

let spoken = 0;

/** Tells screen readers, at most every two seconds. */
export function say(text) {
  const live = document.getElementById("live");
  const now = Date.now();
  if (!live || now - spoken < 2000) return;
  spoken = now;
  live.textContent = text;
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS browsers have no clipboard.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    copy(document.querySelector(button.dataset.copy).textContent, "Text");
    button.textContent = "Copied";
  });
}

// What this browser remembers of searches is no business of whoever signs in next.
document.querySelector("form[action='/sign-out']")?.addEventListener("submit", () => localStorage.removeItem("recent"));

// A menu closes when something else is clicked, and by Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
  if (!menu) return;
  event.stopPropagation();
  menu.open = false;
  menu.querySelector("summary").focus();
});

const pages = { s: "/search", t: "/tail", p: "/pipeline", d: "/dead-letters", o: "/sources" };
const acts = { "?": sheet, g: () => { isGoing = true; } };
const names = [["g s t p d o", "go to a page"], ["?", "this sheet"]];
let isGoing = false;

/** Gives single keys of a page a meaning, and tells it on the sheet. */
export function onKeys(more, words) {
  Object.assign(acts, more);
  names.unshift(...words);
}

addEventListener("keydown", (event) => {
  if (root.dataset.keys !== "on" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog")) return;
  // These keys press what has the focus.
  if (/^( |Enter)$/.test(event.key) && event.target.closest?.("a, button, summary")) return;
  if (event.key === " " && event.target.closest?.("input")) return;
  let act = acts[event.key];
  if (isGoing) {
    isGoing = false;
    const entry = document.querySelector(`.bar nav a[href="${pages[event.key]}"]`);
    act = entry && (() => location.assign(entry.href));
  }
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
    for (const [key, what] of names) {
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

// Ranges such as "last hour" go by the server's clock. A page out of the history tells an old time.
const loaded = performance.getEntriesByType("navigation")[0];
if (loaded && loaded.type !== "back_forward" && loaded.responseStart > 0) {
  const ahead = Math.round((Date.now() - (performance.now() - loaded.responseStart) - Number(root.dataset.now)) / 60e3);
  if (Math.abs(ahead) >= 2) {
    const note = document.createElement("p");
    note.className = "note clock";
    note.textContent = `The clock of this machine is ${Math.abs(ahead)} min ${ahead > 0 ? "ahead of" : "behind"} the server's. Ranges of time go by the server's.`;
    document.querySelector("header.bar")?.after(note);
  }
}

// What is wrong comes first.
document.querySelector("[role=alert][tabindex]")?.focus();

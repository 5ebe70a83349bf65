// What every page has: copying, saying, keys. Without it the pages work as well.

const root = document.documentElement;

/** What forms and requests carry, to show that they come from our pages. */
export const csrf = root.dataset.csrf;

/** Whether single keys are shortcuts. */
export const hasKeys = root.dataset.keys === "on";

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

// A menu closes when the focus leaves it.
for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// What is wrong comes first.
document.querySelector("[role=alert][tabindex]")?.focus();

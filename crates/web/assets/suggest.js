// Suggestions below the query: they never open by themselves on load, never move the caret, and Enter runs the search
// unless one was chosen with an arrow.

const RECENT_MAX = 30;

/** Queries that ran in this browser, the newest first. */
const recent = () => {
  try {
    return JSON.parse(localStorage.getItem("recent")) ?? [];
  } catch {
    return [];
  }
};

/** This query ran. Signing out forgets it. */
export function remember(query) {
  if (!query.trim()) return;
  try {
    localStorage.setItem("recent", JSON.stringify([query, ...recent().filter((old) => old !== query)].slice(0, RECENT_MAX)));
  } catch {
    // Browsers may be told to keep nothing.
  }
}

export function attach(input) {
  if (!input || input.dataset.suggests) return;
  input.dataset.suggests = "1";
  const list = document.createElement("ul");
  list.className = "suggest";
  list.id = "suggest";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  input.after(list);
  for (const [name, value] of [["role", "combobox"], ["aria-controls", "suggest"], ["aria-autocomplete", "list"], ["aria-expanded", "false"]]) {
    input.setAttribute(name, value);
  }
  let chosen = -1;
  // What is listed is for what stood there before; the arrow waits for what is asked.
  let isOld = true;
  let isWanted = false;
  let asking = null;
  let timer = 0;

  const close = () => {
    asking?.abort();
    clearTimeout(timer);
    list.hidden = true;
    isOld = true;
    isWanted = false;
    input.setAttribute("aria-expanded", "false");
    unchoose();
  };
  const unchoose = () => {
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
    for (const item of list.children) item.setAttribute("aria-selected", "false");
  };
  const choose = (at) => {
    const items = [...list.children];
    chosen = (at + items.length) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[chosen].id);
  };
  const accept = (item) => {
    const { text, from, to } = item.dataset;
    input.setRangeText(text, Number(from), Number(to), "end");
    close();
    input.focus();
    if (text.endsWith(":")) ask();
  };
  const show = (found) => {
    const typed = input.value.trim().toLowerCase();
    const whole = [0, input.value.length];
    const items = found.items.concat(recent()
      .filter((query) => query.toLowerCase().includes(typed) && query !== input.value && !found.items.some((item) => item.text === query))
      .slice(0, 5).map((text) => ({ text, note: "recent", replace: whole })));
    list.replaceChildren(...items.map((item, at) => {
      const line = document.createElement("li");
      line.id = `suggest-${at}`;
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", "false");
      line.dataset.text = item.text;
      [line.dataset.from, line.dataset.to] = item.replace ?? found.replace;
      const text = document.createElement("span");
      text.textContent = item.text;
      const note = document.createElement("span");
      note.className = "muted";
      note.textContent = item.note ?? item.n ?? "";
      line.append(text, note);
      line.addEventListener("mousedown", (event) => {
        event.preventDefault();
        accept(line);
      });
      return line;
    }));
    isOld = false;
    list.hidden = items.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    unchoose();
    if (!isWanted || items.length === 0) return;
    isWanted = false;
    choose(0);
  };
  const ask = async (round = 0) => {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const params = new URLSearchParams({ q: input.value, caret: input.selectionStart });
    const range = input.form.elements.range?.value;
    if (range) params.set("range", range);
    if (round) params.set("patient", "1");
    try {
      const answer = await fetch(`/api/v1/suggest?${params}`, { signal });
      if (!answer.ok || document.activeElement !== input) return;
      const found = await answer.json();
      // Who moves in the list already keeps it as it is.
      if (!signal.aborted && chosen < 0) show(found);
      // On a busy machine the rest comes later.
      if (!found.complete && round < 8 && chosen < 0 && !signal.aborted) ask(round + 1);
    } catch {
      // Typed on, or the server is away: no suggestions.
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    asking?.abort();
    isOld = true;
    isWanted = false;
    unchoose();
    timer = setTimeout(() => ask(), 120);
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === " ") {
      event.preventDefault();
      ask();
    } else if (event.key === "Escape") {
      if (list.hidden) input.blur();
      close();
    } else if (event.key === "ArrowDown" && isOld) {
      event.preventDefault();
      clearTimeout(timer);
      isWanted = true;
      ask();
    } else if (list.hidden || isOld) {
      if (event.key === "Enter") close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      accept(list.children[chosen]);
    } else if (event.key === "Enter" || event.key === "Tab") {
      close();
    }
  });
}

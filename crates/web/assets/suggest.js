// Suggestions below the query: they never open by themselves on load, never move the caret, and Enter runs the search
// unless one was chosen with an arrow.

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
  let replace = [0, 0];
  let chosen = -1;
  let asking = null;
  let timer = 0;

  const close = () => {
    asking?.abort();
    clearTimeout(timer);
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (at) => {
    const items = [...list.children];
    chosen = (at + items.length) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[chosen].id);
  };
  const accept = (item) => {
    const text = item.dataset.text;
    input.setRangeText(text, replace[0], replace[1], "end");
    close();
    input.focus();
    if (text.endsWith(":")) ask();
  };
  const show = (found) => {
    replace = found.replace;
    list.replaceChildren(...found.items.map((item, at) => {
      const line = document.createElement("li");
      line.id = `suggest-${at}`;
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", "false");
      line.dataset.text = item.text;
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
    chosen = -1;
    list.hidden = found.items.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
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
    } else if (list.hidden) {
      return;
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

// A row of the table, opened below itself.

/** The event's link of a row. */
export const link = (row) => row?.querySelector("a");

export const idOf = (row) => row.id.slice(2);

/** Opens a row, or closes it; says whether it is open now. `missing` is the text for an event that the store has not. */
export async function toggle(row, missing) {
  const next = row.nextElementSibling;
  if (next?.classList.contains("details")) {
    next.remove();
    row.classList.remove("open");
    link(row).removeAttribute("aria-expanded");
    return false;
  }
  const details = document.createElement("tr");
  details.className = "details";
  const cell = details.insertCell();
  cell.colSpan = row.cells.length;
  row.after(details);
  row.classList.add("open");
  link(row).setAttribute("aria-expanded", "true");
  const address = new URL(link(row).href);
  address.searchParams.set("fragment", "1");
  try {
    const answer = await fetch(address);
    if (answer.ok) fill(cell, await answer.text());
    else cell.textContent = answer.status === 404 ? missing : `This event cannot be shown now (${answer.status}).`;
  } catch {
    cell.textContent = "This event cannot be shown: the server does not answer.";
  }
  details.scrollIntoView({ block: "nearest" });
  return true;
}

function fill(cell, html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  cell.append(...document.adoptNode(page.body).childNodes);
  addActs(cell);
}

/** What only a script can do with an open row: copy a value, all of it, a link. */
export function addActs(cell) {
  if (cell.querySelector("[data-act]")) return;
  for (const narrow of cell.querySelectorAll(".narrow")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = "copy";
    button.dataset.act = "value";
    button.setAttribute("aria-label", `Copy ${narrow.closest("div").querySelector("dt").textContent}`);
    narrow.append(" ", button);
  }
  const bar = cell.querySelector(".acts-bar");
  for (const [name, what] of [["Copy JSON", "json"], ["Copy link", "link"]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.dataset.act = what;
    bar?.append(" ", button);
  }
}

/** The value beside which an act stands, without the links behind it. */
export function valueOf(act) {
  const value = act.closest("dd").cloneNode(true);
  value.querySelector(".narrow").remove();
  return value.textContent.trim();
}

/** A line of text, as it is seen. */
export const lineOf = (row) => [...row.cells].map((cell) => cell.innerText.trim()).join(" ");

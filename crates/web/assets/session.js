// A session that ended while somebody filled in a form: the form stays, one signs in beside it, and it is sent.

import { renew } from "./core.js";

const user = document.documentElement.dataset.user;
const parsed = (html) => new DOMParser().parseFromString(html, "text/html");

/** Whether what is sent now is sent by somebody; asks them to sign in again if it must. */
async function ready() {
  const answer = await fetch("/api/v1/sessions", { method: "HEAD" });
  return answer.status !== 401 || signIn();
}

/** The form of the page for it, in a dialog. */
async function signIn() {
  const page = await fetch("/sign-in").then((answer) => answer.text());
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Sign in again");
  const note = document.createElement("p");
  note.className = "note";
  note.textContent = "The session is over. Nothing was sent yet; it will be when you have signed in.";
  const cancel = document.createElement("button");
  cancel.textContent = "Cancel";
  cancel.addEventListener("click", () => dialog.close());
  let form = null;
  const show = (of) => {
    const next = of.querySelector("form.card");
    next.elements.name.value = user;
    next.elements.name.readOnly = true;
    form?.remove();
    note.after(next);
    form = next;
    (form.querySelector("[role=alert]") ?? form.elements.password).focus();
  };
  dialog.append(note, cancel);
  document.body.append(dialog);
  dialog.showModal();
  show(parsed(page));
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "in");
    });
    dialog.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopPropagation();
      const answer = await fetch("/sign-in", { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const next = parsed(await answer.text());
      if (next.querySelector("form.card[action='/sign-in']")) return show(next);
      renew(next.documentElement.dataset.csrf);
      dialog.close("in");
    });
  });
}

let asked = null;

// Before modules that send forms themselves.
addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || asked === form || form.matches("[action^='/sign-']")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const sent = event.submitter;
  try {
    if (!(await ready())) return;
  } catch {
    // The browser tells better what is wrong with the network.
  }
  asked = form;
  form.requestSubmit(sent);
  asked = null;
}, true);

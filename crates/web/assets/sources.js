// Keys of the pages of sources.
import { onKeys } from "./core.js";

const state = document.getElementById("state");
const links = [...document.querySelectorAll("th a[href^='/sources/']")];

/** Moves by sources; Enter follows the link that has the focus. */
function move(step) {
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
} else {
  onKeys({ m: () => document.querySelector("form[action$='mute'] :is(select, button)")?.focus() }, [["m", "to muting"]]);
}

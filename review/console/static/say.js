// One line above the page for what one must know now, and one for screen readers.

export const byId = (id) => document.getElementById(id);
export const quietly = matchMedia("(prefers-reduced-motion: reduce)");

let isLost = false; // whether what is said is that the gate cannot be reached

export const say = (text) => {
  isLost = false;
  byId("stale").hidden = !text;
  byId("stale").textContent = text;
};
export const lose = () => { say("The gate cannot be reached just now. What you see may be old."); isLost = true; };
export const find = () => { if (isLost) say(""); };

// How long somebody has looked at what is shown now, counted only while the page is in view; and how fresh buttons are.

const armingMs = Number(document.body.dataset.armingMs) || 0;
let armedAt = performance.now() + armingMs;
let lookedMs = 0;
let inViewSince = document.hidden ? null : performance.now();

export const looked = () => Math.round(lookedMs + (inViewSince === null ? 0 : performance.now() - inViewSince));
export const lookAgain = () => { lookedMs = 0; inViewSince = document.hidden ? null : performance.now(); };
export const isArmed = () => performance.now() >= armedAt;
export const armAgain = () => { armedAt = performance.now() + armingMs; };

document.addEventListener("visibilitychange", () => {
  lookedMs = looked();
  inViewSince = document.hidden ? null : performance.now();
});

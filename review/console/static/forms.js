// What a form must have before it goes: a moment's look, everything in view, a reason. The server checks it all again.

import { isArmed, looked } from "./looking.js";
import { isSeen, showMore } from "./reading.js";
import { byId, say } from "./say.js";

const ANSWER_MS_MAX = 10000; // the answer never came: it may be tried again

// The bar is always in view: going to its field must not scroll away what one is deciding on.
export const focusOn = (field) => field.focus({ preventScroll: field.closest("#bar") !== null });

const whyNot = (form, button) => {
  if (button?.classList.contains("arm") && !isArmed()) return () => say("That was too quick: look, then press again.");
  if (["approve", "whole"].includes(button?.dataset.act) && !isSeen()) return showMore;
  const comment = form.querySelector("textarea"); // of its own, not one elsewhere that names it
  const needs = "needsReason" in form.dataset || "needsReason" in (button?.dataset ?? {});
  if (needs && comment && !comment.value.trim()) {
    return () => { say("Say why: a reason is needed here."); focusOn(comment); };
  }
  return form.dataset.sent ? () => {} : null;
};

export const guardForms = () => {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    const stop = whyNot(form, event.submitter);
    if (stop) {
      event.preventDefault();
      stop();
      return;
    }
    form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, ANSWER_MS_MAX);
    if (form.id === "change") form.elements.comment.value = byId("comment")?.value ?? "";
    const field = form.querySelector("[name=looked]");
    if (field) field.value = String(looked());
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
};

// Keys. While one types, or a dialog is open, letters are letters.

import { focusOn } from "./forms.js";
import { byId } from "./say.js";

const act = (name) => byId("bar")?.querySelector(`[data-act=${name}]`);
const go = (rel) => { const link = document.querySelector(`a[rel=${rel}]`); link?.click(); return Boolean(link); };

// In a list to the next row; on a question to the next question.
const move = (step) => {
  const rows = [...document.querySelectorAll("a.row")];
  if (byId("bar") || !rows.length) { go(step > 0 ? "next" : "prev"); return; }
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))].focus();
};

// To the reason, then again: a no without one is none.
const withReason = (name) => () => {
  const field = byId("comment");
  if (!act(name) || !field) return;
  if (field.value.trim()) act(name).click();
  else focusOn(field);
};

const modify = () => {
  const edit = byId("edit");
  if (!edit) return;
  edit.open = true;
  byId("draft").focus();
};

// Not pressed for one: it asks others, and says so to them.
const escalate = () => {
  const button = act("escalate");
  if (!button) return;
  const more = button.closest("details");
  if (more) more.open = true;
  focusOn(button);
};

const search = () => {
  const field = byId("search");
  if (!field) { location.href = "/"; return; }
  const find = field.closest("details");
  if (find) find.open = true;
  field.focus();
  field.select();
};

const keys = {
  j: () => move(1),
  k: () => move(-1),
  a: () => act("approve")?.click(),
  r: withReason("reject"),
  v: withReason("veto"),
  m: modify,
  e: escalate,
  c: () => act("claim")?.click(),
  u: () => act("undo")?.click(),
  n: () => go("next"),
  g: () => { location.href = "/"; },
  "/": search,
  "?": () => byId("keys")?.showModal(),
};

const isElsewhere = (event) =>
  event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]");

export const listenForKeys = () => {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (event.target.matches?.("input, textarea, select")) event.target.blur();
      else for (const menu of document.querySelectorAll("details.more[open]")) menu.open = false;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isElsewhere(event)) return;
    if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
  });
  byId("help")?.addEventListener("click", () => byId("keys")?.showModal());
};

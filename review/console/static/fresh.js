// Regions of the page that keep themselves fresh: told by a stream that something changed, they are fetched as the
// server renders them, already inert, and put in place. Nothing here makes markup from data.

import { announce, freshTimes } from "./clock.js";
import { armAgain, lookAgain } from "./looking.js";
import { readAgain } from "./reading.js";
import { byId, find, lose, say } from "./say.js";

const GATHER_MS = 120; // changes come in bursts
const POLL_MS = 20000; // where the stream is refused
const page = document.querySelector("[data-path]");

// The one place where text becomes markup, and it is a page of ours (the console's policy lets no other do so).
const ours = window.trustedTypes?.createPolicy("console", { createHTML: (text) => text });
const parsed = (text) => new DOMParser().parseFromString(ours ? ours.createHTML(text) : text, "text/html");

const isSame = (region, fresh) =>
  region.dataset.key !== undefined ? region.dataset.key === fresh.dataset.key : region.isEqualNode(fresh);

const focusAgain = (active, moved) => {
  if (active?.id) byId(active.id)?.focus();
  else if (active?.getAttribute("href")) moved.querySelector(`[href="${CSS.escape(active.getAttribute("href"))}"]`)?.focus();
};

const swap = (region, fresh) => {
  if (isSame(region, fresh)) return;
  const active = region.contains(document.activeElement) ? document.activeElement : null;
  const open = new Set([...region.querySelectorAll("details[open] > summary")].map((node) => node.textContent));
  const typed = [...region.querySelectorAll("textarea[id], input[id]:not([type])")].map((field) => [field.id, field.value]);
  const digest = region.querySelector("[name=shown]")?.value;
  const isOther = region.textContent !== fresh.textContent;
  const moved = document.importNode(fresh, true);
  region.replaceWith(moved);
  for (const summary of moved.querySelectorAll("details > summary")) {
    if (open.has(summary.textContent)) summary.parentElement.open = true;
  }
  for (const [id, value] of typed) if (value && byId(id)) byId(id).value = value;
  focusAgain(active, moved);
  if (moved.id === "to-read" && isOther) readAgain();
  if (moved.id === "bar") {
    armAgain();
    if (digest !== undefined && moved.dataset.mine === undefined) say("This changed while you were looking. Look again before you decide.");
    if (digest !== moved.querySelector("[name=shown]")?.value) lookAgain();
  }
};

let isRefreshing = false;
let isWanted = false;
let timer = 0;
const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, GATHER_MS); };

const refresh = async () => {
  if (isRefreshing) { isWanted = true; return; }
  isRefreshing = true;
  try {
    const response = await fetch(page?.dataset.path ?? location.pathname + location.search, {
      headers: { Accept: "text/html", "X-Interlock-Refresh": "1" },
      credentials: "same-origin",
    });
    if (response.redirected || response.status === 401) { over(); return; }
    if (!response.ok) {
      lose();
    } else {
      const fresh = parsed(await response.text());
      find();
      for (const region of document.querySelectorAll("[data-live]")) {
        const match = fresh.getElementById(region.id);
        if (match) swap(region, match);
      }
      document.title = fresh.title;
      announce();
      freshTimes();
    }
  } catch {
    lose();
  } finally {
    isRefreshing = false;
    if (isWanted) { isWanted = false; soon(); }
  }
};

let source = null;
let polling = 0;
const over = () => {
  source?.close();
  clearInterval(polling);
  say("You are logged out. Reload the page to log in again.");
};

export const keepFresh = () => {
  const url = document.body.dataset.liveUrl;
  if (!url || !document.querySelector("[data-live]")) return;
  source = new EventSource(url);
  source.addEventListener("changed", soon); // also the first: something may have changed since the page was made
  source.addEventListener("over", over);
  source.addEventListener("open", find);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) lose();
    else if (!polling) polling = setInterval(refresh, POLL_MS);
  });
};

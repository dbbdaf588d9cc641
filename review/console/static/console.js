"use strict";

// The console's one script. Everything works without it; with it, pages keep themselves fresh, keys work, and it is
// measured how long somebody looked. It never makes markup from data: fresh regions are the server's own, already inert.

(() => {
  const byId = (id) => document.getElementById(id);
  const armingMs = Number(document.body.dataset.armingMs) || 0;
  const page = document.querySelector("[data-path]");
  let armedAt = performance.now() + armingMs;

  // --- how long somebody has looked at what is shown now (only while the page is in view) ---

  let lookedMs = 0;
  let inViewSince = document.hidden ? null : performance.now();
  const looked = () => Math.round(lookedMs + (inViewSince === null ? 0 : performance.now() - inViewSince));
  const lookAgain = () => { lookedMs = 0; inViewSince = document.hidden ? null : performance.now(); };
  document.addEventListener("visibilitychange", () => {
    lookedMs = looked();
    inViewSince = document.hidden ? null : performance.now();
  });

  // --- times ---

  const span = (sec) => {
    const whole = Math.max(0, Math.floor(sec));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86400)} days`;
  };
  const tick = () => {
    for (const node of document.querySelectorAll("[data-until]")) {
      const left = (Number(node.dataset.until) - Date.now()) / 1000;
      const text = left > 0 ? `${span(left)} left` : "time is up";
      if (node.textContent !== text) node.textContent = text;
      if (node.classList.contains("due")) {
        node.classList.toggle("over", left <= 0);
        node.classList.toggle("soon", left > 0 && left < 600);
      }
    }
  };
  const localTimes = () => {
    for (const node of document.querySelectorAll("time[data-at]")) {
      node.title = new Date(Number(node.dataset.at)).toLocaleString();
    }
  };

  // --- saying things ---

  let isLost = false; // whether what is said is that the gate cannot be reached
  const say = (text) => {
    isLost = false;
    byId("stale").hidden = !text;
    byId("stale").textContent = text;
  };
  const lose = () => { say("The gate cannot be reached just now. What you see may be old."); isLost = true; };
  const find = () => { if (isLost) say(""); };
  let announced = document.querySelector("[data-announce]")?.dataset.announce;
  const announce = () => {
    const text = document.querySelector("[data-announce]")?.dataset.announce;
    if (text && announced !== text) byId("announce").textContent = announced = text;
  };

  // --- fresh regions ---

  const swap = (region, fresh) => {
    if (region.dataset.key !== undefined ? region.dataset.key === fresh.dataset.key : region.isEqualNode(fresh)) return;
    const active = region.contains(document.activeElement) ? document.activeElement : null;
    const open = new Set([...region.querySelectorAll("details[open] > summary")].map((node) => node.textContent));
    const comment = region.querySelector("#comment")?.value;
    const digest = region.querySelector("[name=shown]")?.value;
    const isOther = region.textContent !== fresh.textContent;
    const moved = document.importNode(fresh, true);
    region.replaceWith(moved);
    for (const summary of moved.querySelectorAll("details > summary")) {
      if (open.has(summary.textContent)) summary.parentElement.open = true;
    }
    const field = moved.querySelector("#comment");
    if (field && comment) field.value = comment;
    if (active?.id) byId(active.id)?.focus();
    else if (active?.getAttribute("href")) moved.querySelector(`[href="${CSS.escape(active.getAttribute("href"))}"]`)?.focus();
    if (moved.id === "arguments-live" && isOther) { isSeen = false; look(); }
    if (moved.id === "bar") {
      armedAt = performance.now() + armingMs;
      if (digest !== undefined) say("This changed while you were looking. Look again before you decide.");
      if (digest !== moved.querySelector("[name=shown]")?.value) lookAgain();
    }
  };

  // The one place where text becomes markup, and it is a page of ours (the console's policy lets no other do so).
  const ours = window.trustedTypes?.createPolicy("console", { createHTML: (text) => text });
  const parsed = (text) => new DOMParser().parseFromString(ours ? ours.createHTML(text) : text, "text/html");

  let isRefreshing = false;
  let isWanted = false;
  const refresh = async () => {
    if (isRefreshing) { isWanted = true; return; }
    isRefreshing = true;
    try {
      const response = await fetch(page?.dataset.path ?? location.pathname, {
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
        localTimes(); announce(); tick();
      }
    } catch {
      lose();
    } finally {
      isRefreshing = false;
      if (isWanted) { isWanted = false; soon(); }
    }
  };
  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, 120); };

  let source = null;
  const over = () => {
    source?.close();
    clearInterval(polling);
    say("You are logged out. Reload the page to log in again.");
  };
  let polling = 0;
  const listen = (url) => {
    source = new EventSource(url);
    source.addEventListener("changed", soon); // also the first: something may have changed since the page was made
    source.addEventListener("over", over);
    source.addEventListener("open", find);
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) {
        lose();
      } else if (!polling) {
        polling = setInterval(refresh, 20000);
      }
    });
  };

  // --- forms ---

  // The bar is always in view: going to its field must not scroll away what one is deciding on.
  const focusOn = (field) => field.focus({ preventScroll: field.closest("#bar") !== null });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    const stop = (text, field) => {
      event.preventDefault();
      if (text) say(text);
      if (field) focusOn(field);
    };
    if (form.method === "dialog") return;
    if (button?.classList.contains("arm") && performance.now() < armedAt) return stop("That was too quick: look, then press again.");
    const comment = form.querySelector("#comment");
    const needs = "needsReason" in form.dataset || "needsReason" in (button?.dataset ?? {});
    if (needs && comment && !comment.value.trim()) return stop("Say why: a reason is needed here.", comment);
    if (form.dataset.sent) return stop("");
    form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, 10000); // the answer never came: it may be tried again
    if (form.id === "change") form.elements.comment.value = byId("comment")?.value ?? "";
    const field = form.querySelector("[name=looked]");
    if (field) field.value = String(looked());
    return undefined;
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // --- keys ---

  const areArgumentsSeen = () => {
    const table = byId("arguments-table");
    if (!table) return true;
    const { bottom } = table.getBoundingClientRect();
    return bottom <= window.innerHeight - (byId("bar")?.offsetHeight ?? 0) + 8;
  };
  let isSeen = false;
  const look = () => { isSeen = isSeen || areArgumentsSeen(); };
  const showMore = () => {
    const bottom = byId("arguments-table").getBoundingClientRect().bottom;
    const room = window.innerHeight - (byId("bar")?.offsetHeight ?? 0);
    window.scrollBy({ top: Math.min(bottom - room + 24, room * 0.85) });
    say("Look at the arguments to their end, then press a again.");
  };
  const act = (name) => byId("bar")?.querySelector(`[data-act=${name}]`);
  const move = (step) => {
    const rows = [...document.querySelectorAll("a.row")];
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
  };
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    g: () => { location.href = "/"; },
    a: () => { if (!act("approve")) return; if (isSeen) act("approve").click(); else { showMore(); look(); } },
    r: () => { const field = byId("comment"); if (!act("reject") || !field) return; if (field.value.trim()) act("reject").click(); else focusOn(field); },
    e: () => { const edit = byId("edit"); if (edit) { edit.open = true; byId("draft").focus(); } },
    u: () => act("undo")?.click(),
    "?": () => byId("keys")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || byId("keys")?.open) return;
    if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
  });

  // --- begin ---

  window.addEventListener("scroll", look, { passive: true });
  window.addEventListener("resize", look, { passive: true });
  document.addEventListener("focusin", (event) => { if (event.target.classList?.contains("copy")) event.target.select(); });
  look(); localTimes(); tick();
  setInterval(tick, 1000);
  const url = document.body.dataset.liveUrl;
  if (url && document.querySelector("[data-live]")) listen(url);
})();

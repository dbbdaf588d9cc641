// What has been in view of what one decides on. It must have passed through the window from its beginning to its end,
// folded texts opened, before a press lets it go: jumping to the end does not count as reading.

import { byId, say } from "./say.js";

const SLACK_PX = 48; // a line that is cut by the window's edge has been seen
let seenTo = 0; // px from the top of what is to be read
let opened = new WeakSet();

const region = () => byId("to-read");
const barHeight = () => byId("bar")?.offsetHeight ?? 0;
const folds = () => [...(region()?.querySelectorAll("details.whole") ?? [])];
const unread = () => folds().find((fold) => !opened.has(fold));

const look = () => {
  const box = region()?.getBoundingClientRect();
  if (!box) return;
  const from = Math.max(0, -box.top);
  const to = Math.min(box.height, window.innerHeight - barHeight() - box.top);
  if (from <= seenTo + SLACK_PX && to > seenTo) seenTo = to;
  const note = byId("unread");
  if (note) note.hidden = isSeen();
};

export const isSeen = () => {
  const box = region()?.getBoundingClientRect();
  return !box || (seenTo >= box.height - SLACK_PX / 4 && !unread());
};

export const readAgain = () => { seenTo = 0; opened = new WeakSet(); look(); };

// One step towards the end: open the first folded text on the way, or go on from where the eye has not been.
export const showMore = () => {
  const box = region().getBoundingClientRect();
  const fold = unread();
  const at = fold ? fold.getBoundingClientRect().top - box.top : Infinity;
  if (fold && at <= seenTo + SLACK_PX) {
    fold.open = true;
    opened.add(fold);
    seenTo = Math.min(seenTo, at);
    fold.scrollIntoView({ block: "start" });
  } else {
    window.scrollBy({ top: box.top + seenTo - (byId("tabs")?.offsetHeight ?? 0) - SLACK_PX });
  }
  look();
  say(isSeen() ? "That was all of it. Press again to decide." : "Look at it to its end before you let it go: press again to read on.");
};

export const watchReading = () => {
  document.addEventListener("toggle", (event) => {
    const fold = event.target;
    if (fold.open && fold.matches?.("details.whole") && !opened.has(fold)) {
      opened.add(fold);
      seenTo = Math.min(seenTo, fold.getBoundingClientRect().top - (region()?.getBoundingClientRect().top ?? 0));
    }
    look();
  }, true);
  window.addEventListener("scroll", look, { passive: true });
  window.addEventListener("resize", look, { passive: true });
  look();
};

// Times: what is left, as words and as a ring, each second; moments in the reader's own time zone; changes said aloud.

import { byId } from "./say.js";

const span = (sec) => {
  const whole = Math.max(0, Math.floor(sec));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} days`;
};

const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

const tick = () => {
  const now = Date.now();
  for (const node of document.querySelectorAll("[data-until]")) {
    const left = (Number(node.dataset.until) - now) / 1000;
    put(node, node.dataset.bare === undefined ? (left > 0 ? `${span(left)} left` : "time is up") : span(left));
    const due = node.closest(".due");
    due?.classList.toggle("over", left <= 0);
    due?.classList.toggle("soon", left > 0 && left < 600);
  }
  for (const node of document.querySelectorAll("[data-gone-at]")) {
    if (now < Number(node.dataset.goneAt)) continue;
    node.replaceChildren("Hidden again: its time is up.");
    delete node.dataset.goneAt;
  }
  for (const ring of document.querySelectorAll("[data-from][data-to]")) {
    const [from, to] = [Number(ring.dataset.from), Number(ring.dataset.to)];
    const percent = Math.max(0, Math.min(100, (100 * (to - now)) / (to - from || 1)));
    ring.setAttribute("stroke-dasharray", `${percent.toFixed(1)} 100`);
  }
};

const localTimes = () => {
  for (const node of document.querySelectorAll("time[data-at]")) {
    node.title = new Date(Number(node.dataset.at)).toLocaleString();
  }
};

const toSay = () => [...document.querySelectorAll("[data-announce]")].map((node) => node.dataset.announce).join(". ");

let announced = toSay();
export const announce = () => {
  const text = toSay();
  if (text && announced !== text) byId("announce").textContent = announced = text;
};

export const freshTimes = () => { localTimes(); tick(); };
export const times = () => { freshTimes(); setInterval(tick, 1000); };

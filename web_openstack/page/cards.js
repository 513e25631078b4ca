// One card per image: thumbnail, state, labels, timings. File names and labels are only ever text.

import { percent, span } from "./words.js";

const WORDS = { line: "in line", sending: "uploading", queued: "queued", again: "waiting", failed: "Not recognised" };
const FINISHED = new Set(["recognised", "failed"]);
const cardTemplate = document.getElementById("card-template");
const scoreTemplate = document.getElementById("score-template");
const thumbs = new IntersectionObserver(reveal, { rootMargin: "300px" });
const files = new WeakMap();

/** Load a thumbnail when its card comes near the screen; hundreds of photographs decoded at once would freeze it. */
function reveal(entries) {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    thumbs.unobserve(target);
    const url = URL.createObjectURL(files.get(target));
    target.onload = () => URL.revokeObjectURL(url);
    target.onerror = () => {
      URL.revokeObjectURL(url);
      target.removeAttribute("src");
    };
    target.src = url;
  }
}

export class Card {
  #ticking = 0;

  /** `retry()` is called when the user asks to try a failed image again. */
  constructor(file, retry) {
    this.name = file.name;
    this.element = cardTemplate.content.cloneNode(true).firstElementChild;
    this.find(".name").textContent = this.find(".name").title = file.name;
    this.find(".again").onclick = retry;
    this.find(".again").setAttribute("aria-label", `Try ${file.name} again`);
    files.set(this.find("img"), file);
    thumbs.observe(this.find("img"));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  get finished() {
    return FINISHED.has(this.state);
  }

  remove() {
    thumbs.unobserve(this.find("img"));
    this.element.remove();
  }

  /** Draw a state of upload.js. */
  show(state, data = {}) {
    clearInterval(this.#ticking);
    this.state = this.element.dataset.state = state;
    this.find(".headline").textContent = WORDS[state] ?? "";
    this.#detail(data.detail);
    this.find(".again").hidden = state !== "failed";
    if (state === "again") this.#countDown(data.seconds);
    if (state === "recognised") this.#result(data);
  }

  #detail(text = "") {
    const line = this.find(".detail");
    line.hidden = !text;
    line.textContent = text;
  }

  #countDown(seconds) {
    const until = Date.now() + seconds * 1000;
    const tick = () => {
      const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
      this.find(".headline").textContent = `next try in ${left} s`;
    };
    tick();
    this.#ticking = setInterval(tick, 500);
  }

  #result({ labels, timings, same_as: sameAs }) {
    const best = this.find(".headline");
    best.textContent = labels[0]?.label ?? "no label";
    best.dataset.testid = "label";
    this.find(".scores").replaceChildren(...labels.map(scoreRow));
    const [received, queued, started, finished] = ["received", "queued", "started", "finished"].map((name) =>
      Date.parse(timings[name]),
    );
    const stages = [["door", received, queued], ["queue", queued, started], ["work", started, finished]];
    const said = stages.map(([name, from, to]) => ` · ${`${name} ${span(from, to)}`.replaceAll(" ", "\u00a0")}`);
    const total = document.createElement("strong");
    total.textContent = span(received, finished);
    this.find(".stages").replaceChildren(total, ...(sameAs ? [" · the same picture as before"] : said));
    this.find(".stages").hidden = false;
  }
}

function scoreRow({ label, score }) {
  const row = scoreTemplate.content.cloneNode(true).firstElementChild;
  row.querySelector(".score-label").textContent = row.querySelector(".score-label").title = label;
  row.querySelector(".fill").style.width = `${score * 100}%`;
  row.querySelector(".percent").textContent = percent(score);
  return row;
}

// Wires the page: files come in by drop, choice or paste; each becomes a card; the live panel runs beside them.

import { Card } from "./cards.js";
import { drawStatus } from "./live.js";
import { watch } from "./status.js";
import { recognise } from "./upload.js";
import { percent } from "./words.js";

const FRAME = 50; // cards made before the browser may paint again
const QUIET = 1500; // milliseconds between two announcements

const list = document.getElementById("cards");
const drop = document.getElementById("drop");
const picker = document.getElementById("files");
const cards = new Set();
let news = [];

/** Make a card for each file, newest drop first, and send them all. */
async function take(files) {
  const before = list.firstElementChild;
  for (const [index, file] of [...files].entries()) {
    if (index % FRAME === FRAME - 1) await new Promise((resolve) => setTimeout(resolve));
    const card = new Card(file, () => start(card, file));
    cards.add(card);
    list.insertBefore(card.element, before?.isConnected ? before : null);
    start(card, file);
  }
}

function start(card, file) {
  recognise(file, (state, data) => {
    card.show(state, data);
    if (state === "recognised") tell(`${card.name}: ${data.labels[0]?.label}, ${percent(data.labels[0]?.score ?? 0)}`);
    if (state === "failed") tell(`${card.name} failed: ${data.detail}`);
    summarise();
  });
}

/** Say results to screen readers: one by name, many as a number, never faster than they can be read out. */
function tell(sentence) {
  news.push(sentence);
  if (news.length > 1) return;
  setTimeout(() => {
    const text = news.length === 1 ? news[0] : `${news.length} pictures finished. ${document.getElementById("summary").textContent}`;
    document.getElementById("announcer").textContent = text;
    news = [];
  }, QUIET);
}

function summarise() {
  const tally = { recognised: 0, failed: 0 };
  for (const card of cards) if (card.finished) tally[card.state] += 1;
  const failed = tally.failed ? `, ${tally.failed} failed` : "";
  document.getElementById("summary").textContent = `${tally.recognised} of ${cards.size} recognised${failed}`;
  document.getElementById("summary-bar").hidden = cards.size === 0;
  document.getElementById("empty").hidden = cards.size > 0;
  document.getElementById("clear").disabled = tally.recognised + tally.failed === 0;
}

function clearFinished() {
  for (const card of cards) {
    if (!card.finished) continue;
    card.remove();
    cards.delete(card);
  }
  summarise();
}

function dragged(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  drop.classList.toggle("over", event.type === "dragover");
  if (event.type === "drop") take(event.dataTransfer.files);
}

for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, dragged);
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.getElementById("clear").addEventListener("click", clearFinished);
picker.addEventListener("change", () => {
  take(picker.files);
  picker.value = "";
});
document.getElementById("curl").textContent = `curl -F image=@photo.jpg ${location.origin}/v1/images`;
watch(drawStatus);

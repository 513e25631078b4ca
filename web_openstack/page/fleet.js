// The fleet as tiles: one per instance, then the empty places up to the maximum.

import { duration } from "./words.js";

const PLACES = 60; // empty places drawn at most; the rest is said in words
const ORDER = ["busy", "idle", "ready", "booting", "pending", "draining", "stopping"];
const list = document.getElementById("fleet");
const template = document.getElementById("worker-template");
const tiles = new Map();

/** Draw a FleetReport, or none. A tile stays the same element for as long as its instance lives. */
export function drawFleet(fleet) {
  const workers = fleet?.workers ?? [];
  const living = new Set(workers.map((worker) => worker.instance));
  for (const [instance, tile] of tiles) {
    if (living.has(instance)) continue;
    tile.remove();
    tiles.delete(instance);
  }
  for (const worker of workers) {
    if (!tiles.has(worker.instance)) tiles.set(worker.instance, list.insertBefore(newTile(worker), list.querySelector(".place")));
    drawTile(tiles.get(worker.instance), worker, fleet.slots);
  }
  drawPlaces(Math.max(0, (fleet?.maximum ?? 0) - workers.length));
  document.getElementById("fleet-count").textContent = fleet ? `${workers.length} of at most ${fleet.maximum}` : "";
  document.getElementById("census").textContent = census(workers);
}

function newTile({ instance }) {
  const tile = template.content.cloneNode(true).firstElementChild;
  tile.querySelector(".worker-id").textContent = instance.slice(-4);
  return tile;
}

function drawTile(tile, { instance, state, age, in_flight: inFlight, done }, slots) {
  if (tile.dataset.state !== state) {
    tile.dataset.state = state;
    tile.querySelector("use").setAttribute("href", `#i-${state}`);
    tile.querySelector(".word").textContent = state;
  }
  const working = inFlight > 0 ? `${inFlight}/${slots}` : "";
  tile.querySelector(".worker-work").textContent = working || duration(age);
  tile.title = `${instance}: ${state}, ${inFlight} in work, ${done} done, ${duration(age)} old`;
}

function drawPlaces(wanted) {
  const drawn = Math.min(wanted, PLACES);
  const places = list.getElementsByClassName("place");
  while (places.length > drawn) places[places.length - 1].remove();
  while (places.length < drawn) {
    const place = document.createElement("li");
    place.className = "place";
    place.setAttribute("aria-hidden", "true");
    list.append(place);
  }
  const more = document.getElementById("more-places");
  more.hidden = wanted <= PLACES;
  more.textContent = `and ${wanted - PLACES} more free places`;
}

/** Such as "3 busy · 1 booting". */
function census(workers) {
  return ORDER.map((state) => [workers.filter((worker) => worker.state === state).length, state])
    .filter(([number]) => number > 0)
    .map(([number, state]) => `${number}\u00a0${state}`)
    .join(" · ");
}

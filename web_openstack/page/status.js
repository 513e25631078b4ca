// The live numbers: asks the door once a second while the tab is seen.

import { askKey, call, delay } from "./api.js";

const PATIENCE = 5000; // milliseconds until an unanswered request counts as no contact

/** Call `show(status, lost)` each second for ever: the door's answer, or null with the seconds since the last one. */
export async function watch(show) {
  let heard = performance.now();
  for (;;) {
    await seen();
    const status = await fetchStatus();
    if (status) heard = performance.now();
    show(status, (performance.now() - heard) / 1000);
    await delay(1);
  }
}

async function fetchStatus() {
  try {
    const response = await call("/v1/status", { signal: AbortSignal.timeout(PATIENCE) });
    if (response.status === 401) {
      await askKey();
      return await fetchStatus();
    }
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Resolves as soon as the tab is visible. */
function seen() {
  if (document.visibilityState === "visible") return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", function changed() {
      if (document.visibilityState !== "visible") return;
      document.removeEventListener("visibilitychange", changed);
      resolve();
    });
  });
}

/** Outstanding images at the end of each second, counted back from now. */
export function outstandingHistory({ outstanding, arrivals, completions }) {
  const past = new Array(arrivals.length);
  let level = outstanding;
  for (let second = arrivals.length - 1; second >= 0; second -= 1) {
    past[second] = Math.max(0, level);
    level -= arrivals[second] - completions[second];
  }
  return past;
}

/** Mean per second of the last five whole seconds; the newest entry is not over yet. */
export function recentRate(counts) {
  const whole = counts.slice(-6, -1);
  return whole.length ? whole.reduce((sum, count) => sum + count, 0) / whole.length : 0;
}

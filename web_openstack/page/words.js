// Numbers for people.

export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** A score between 0 and 1. */
export const percent = (score) => `${(score * 100).toFixed(score < 0.1 ? 1 : 0)} %`;

/** Seconds, from tenths to hours. */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** Milliseconds between two stamps; the clocks of three machines may disagree by a little, which is no time at all. */
export function span(from, to) {
  const value = Math.max(0, to - from);
  return value < 1000 ? `${Math.round(value)} ms` : duration(value / 1000);
}

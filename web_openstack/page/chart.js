// Demand over the last two minutes, drawn with uPlot (window.uPlot, a classic script). Styles come from the page's CSS.

import { outstandingHistory } from "./status.js";

const HEIGHT = 100; // pixels
const root = document.documentElement;
const colour = (name) => () => getComputedStyle(root).getPropertyValue(name).trim();
const stepped = uPlot.paths.stepped({ align: -1 });

const outstanding = make("chart-outstanding", "read-outstanding", (values) => `${values[0]} outstanding`, [
  { stroke: colour("--busy"), fill: colour("--busy-faded"), width: 2 },
]);
const rates = make("chart-rates", "read-rates", (values) => `${values[0]} in, ${values[1]} out`, [
  { stroke: colour("--in"), width: 2, dash: [5, 3], paths: stepped },
  { stroke: colour("--out"), fill: colour("--out-faded"), width: 2, paths: stepped },
]);

/** Draw the demand of a status answer. */
export function drawDemand(demand) {
  const ages = demand.arrivals.map((_, index) => index - demand.arrivals.length + 1);
  outstanding.setData([ages, outstandingHistory(demand)]);
  // The newest second is not over: drawing it would show a dip that is none.
  rates.setData([ages.slice(0, -1), demand.arrivals.slice(0, -1), demand.completions.slice(0, -1)]);
}

function make(id, reading, words, series) {
  const box = document.getElementById(id);
  const axis = { stroke: colour("--quiet"), font: "11px system-ui", ticks: { show: false } };
  const grid = { stroke: colour("--line"), width: 1 };
  const plot = new uPlot(
    {
      width: box.clientWidth || 300,
      height: HEIGHT,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false, x: false }, sync: { key: "demand" }, points: { size: 7 } },
      scales: { x: { time: false, range: [-120, 0] }, y: { range: (_, low, high) => [0, Math.max(4, high * 1.15)] } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, splits: () => [-120, -90, -60, -30, 0], values: (_, splits) => splits.map(ago) },
        { ...axis, grid, size: 34, space: 26, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
      ],
      series: [{}, ...series.map((one) => ({ points: { show: false }, ...one }))],
      hooks: { setCursor: [(self) => read(self, document.getElementById(reading), words)] },
    },
    [[], ...series.map(() => [])],
    box,
  );
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw(false));
  return plot;
}

function ago(age) {
  return age === 0 ? "now" : `${-age} s`;
}

function read(plot, element, words) {
  const { idx: index } = plot.cursor;
  const seen = index !== null && index !== undefined && plot.data[1].length > index;
  element.textContent = seen ? `${ago(plot.data[0][index])}: ${words(plot.data.slice(1).map((row) => row[index]))}` : "";
}

// Puts a status answer on the page: numbers, sentences, warnings.

import { drawDemand } from "./chart.js";
import { drawFleet } from "./fleet.js";
import { recentRate } from "./status.js";
import { count, duration } from "./words.js";

const STALE = 5; // seconds without a fleet report after which the fleet shown is old news

const put = (id, text) => {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
};

/** `status`: the answer of /v1/status, or null; `lost`: seconds since the last answer. */
export function drawStatus(status, lost) {
  document.getElementById("live").classList.toggle("lost", !status);
  const contact = document.getElementById("contact");
  contact.dataset.contact = status ? "live" : "lost";
  if (!status) {
    put("contact-demand", "no contact");
    put("contact-fleet", "");
    return put("alert", `No contact with the door for ${Math.round(lost)} s. What you see is the last it said.`);
  }
  const { demand, fleet, fleet_age: age } = status;
  put("contact-demand", `${demand.outstanding} outstanding`);
  put("contact-fleet", count(fleet?.workers.length ?? 0, "instance"));
  put("alert", age !== null && age > STALE ? `Autoscaler silent for ${Math.round(age)} s. The fleet below is its last report.` : "");
  document.getElementById("fleet").classList.toggle("stale", age === null || age > STALE);
  drawNumbers(demand, status.predicted_wait);
  drawDemand(demand);
  drawFleet(fleet);
  put("reason", sentence(fleet));
  put("about", about(status));
}

function drawNumbers(demand, predicted) {
  put("outstanding", String(demand.outstanding));
  put("arrivals", recentRate(demand.arrivals).toFixed(1));
  put("completions", recentRate(demand.completions).toFixed(1));
  put("oldest", duration(demand.oldest));
  put("predicted", duration(predicted));
}

function sentence(fleet) {
  if (!fleet) return "No autoscaler has reported yet.";
  const wish = `The autoscaler (${fleet.policy}) wants ${count(fleet.desired, "instance")}`;
  return fleet.reason ? `${wish}: ${fleet.reason.replace(/\.$/, "")}.` : `${wish}.`;
}

function about({ node, queue, fleet, model }) {
  const parts = [`Counted at door ${node}`];
  if (queue) parts.push(`SQS says ${queue.visible} waiting, ${queue.in_flight} in work`);
  if (fleet) parts.push(`an instance boots in about ${duration(fleet.boot_seconds)}`);
  if (model) parts.push(`model ${model}`);
  return `${parts.join(" · ")}.`;
}

// One image from file to answer: sent, then asked for until it is there.
//
// A browser opens six connections to one host. Sending uses three, asking two, and one is left for the live numbers,
// which must not stand still while a cold fleet boots. When a line has formed, images are sent without waiting for
// their answers, so that the whole drop reaches the queue and the fleet can grow for it.

import { askKey, call, delay, problem, retryAfter } from "./api.js";
import { Lane } from "./lane.js";

const TRIES = 5; // sends of one image that meet a busy door, before it counts as failed
const PAUSE = 3; // seconds between tries when the door does not say
const BEHIND = 16; // an image still being worked on is asked for again after this many others

const sending = new Lane(3);
const asking = new Lane(2);

/**
 * Recognise one file. `show(state, data)` is called at each change with: "line"; "sending"; "queued"; "again"
 * ({detail, seconds} until the next try); "recognised" (the result); "failed" ({detail}).
 */
export function recognise(file, show) {
  const job = { file, show, tries: 0, once: randomKey(), location: "" };
  show("line");
  sending.add(() => send(job));
}

async function send(job) {
  if (!(await readable(job.file))) {
    return job.show("failed", { detail: "This could not be read. A folder, perhaps, or a file that has moved?" });
  }
  job.show("sending");
  const body = new FormData();
  body.append("image", job.file, job.file.name);
  const headers = { Prefer: sending.waiting > 0 ? "respond-async" : "wait=2", "Idempotency-Key": job.once };
  const answer = await reach("/v1/images?top=5", { method: "POST", body, headers });
  return settle(job, answer, sending, send);
}

async function ask(job) {
  const answer = await reach(`${job.location}?wait=${asking.waiting > 0 ? 1 : 20}`);
  return settle(job, answer, asking, ask);
}

/** The response and, of a result, its JSON; null when there was no answer or it broke off. */
async function reach(path, options) {
  try {
    const response = await call(path, options);
    return { response, result: response.status === 200 ? await response.json() : null };
  } catch {
    return null;
  }
}

async function settle(job, answer, lane, step) {
  if (answer === null) return again(job, lane, step, "No contact with the door", PAUSE);
  const { response, result } = answer;
  switch (response.status) {
    case 200:
      return job.show("recognised", result);
    case 202:
      job.location = response.headers.get("Location") ?? job.location;
      job.show("queued");
      return asking.add(() => ask(job), BEHIND);
    case 401:
      job.show("line");
      lane.hold(askKey());
      return lane.add(() => step(job), 0);
    case 429:
    case 502:
    case 503:
    case 504:
      return again(job, lane, step, await problem(response), retryAfter(response, PAUSE));
    default:
      return job.show("failed", { detail: await problem(response) });
  }
}

/** Try a step again after some seconds; the whole lane waits, for the others would be refused as well. An accepted
 *  image is asked for without end: the door promised an answer. */
function again(job, lane, step, detail, seconds) {
  if (step === send && (job.tries += 1) >= TRIES) return job.show("failed", { detail: `${detail} (tried ${TRIES} times)` });
  job.show("again", { detail, seconds });
  lane.hold(delay(seconds));
  return lane.add(() => step(job), 0);
}

async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** 128 random bits in hex: sending the same image again after a lost answer makes no second job. */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

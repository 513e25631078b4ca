// Requests to the door that served this page: the API key, problems and Retry-After in one place.

const KEPT = "skylens-key";
const form = document.getElementById("key-form");
let given = null;

/** fetch() with the API key, if one was given; never from a cache. Rejects when the door cannot be reached. */
export function call(path, { headers = {}, ...options } = {}) {
  const key = sessionStorage.getItem(KEPT);
  const all = key ? { ...headers, Authorization: `Bearer ${key}` } : headers;
  return fetch(path, { cache: "no-store", ...options, headers: all });
}

/** Show the key field; resolves once a key was entered. Those who ask at the same time wait for the same answer. */
export function askKey() {
  given ??= new Promise((resolve) => {
    if (sessionStorage.getItem(KEPT)) form.querySelector("label").textContent = "That API key was refused; try another";
    form.hidden = false;
    form.elements.key.focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, form.elements.key.value.trim());
      form.reset();
      form.hidden = true;
      given = null;
      resolve();
    };
  });
  return given;
}

/** The sentence of a problem+json answer, or the bare status when a proxy in between answered. */
export async function problem(response) {
  try {
    const { detail, title } = await response.json();
    return detail || title || `The door answered ${response.status}.`;
  } catch {
    return `The door answered ${response.status}.`;
  }
}

/** Seconds that Retry-After asks for, as seconds or as a date; `otherwise` when it is missing. At least 1. */
export function retryAfter(response, otherwise) {
  const value = response.headers.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Math.max(1, Math.ceil(Number.isNaN(seconds) ? otherwise : seconds));
}

export const delay = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Requests to the service: its sentences as errors, its key, its photos. */

import { get } from "./dom.js";

const KEPT = "item-embed-key";
const MOST_PHOTOS = 400; // held as object URLs

/** What the service, or the way to it, refused: `message` is a sentence for the user. */
export class Failure extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }

  /** Whether the same request may well succeed in a moment. */
  get passing() {
    return [0, 408, 429, 500, 502, 503, 504].includes(this.status);
  }
}

/**
 * Ask the service.
 *
 * @param {string} path from the page's own address, as `v1/search`
 * @param {object} options `method`, `signal`, and the body as `form` (FormData) or `json`
 * @returns {Promise<any>} the answer's JSON
 * @throws {Failure} with the service's sentence; an AbortError if `signal` says so
 */
export async function call(path, options = {}) {
  return (await send(path, options)).json();
}

/** The photo at an address of the service: {blob, url}, an object URL, since an `img` could not send the key. */
export function photo(path) {
  if (!photos.has(path)) {
    const loading = send(path).then((answer) => answer.blob()).then((blob) => ({ blob, url: URL.createObjectURL(blob) }));
    loading.catch(() => photos.delete(path)); // so it is asked for again
    photos.set(path, loading);
    if (photos.size > MOST_PHOTOS) forget(photos.keys().next().value);
  }
  return photos.get(path);
}

const photos = new Map();

function forget(path) {
  photos.get(path).then(({ url }) => URL.revokeObjectURL(url), () => {});
  photos.delete(path);
}

async function send(path, options = {}) {
  for (;;) {
    const key = kept();
    const answer = await once(path, options, key);
    if (answer.ok) return answer;
    const failure = new Failure(answer.status, await sentence(answer));
    if (answer.status !== 401) throw failure;
    if (kept() === key && !(await askForKey(key ? failure.message : ""))) throw failure;
  }
}

async function once(path, { method = "GET", form, json, signal }, key) {
  const headers = {};
  if (key) headers["X-API-Key"] = key;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const body = json === undefined ? form : JSON.stringify(json);
  const address = path.replace(/^\//, ""); // relative, for a service behind a prefix
  try {
    return await fetch(address, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The service does not answer: it has stopped, or the network is down.");
  }
}

async function sentence(answer) {
  const seconds = Number(answer.headers.get("Retry-After"));
  const wait = answer.status === 503 && seconds > 0 ? ` Try again in ${seconds} s.` : "";
  try {
    const { detail } = await answer.json();
    if (typeof detail === "string" && detail) return detail + wait;
  } catch { /* not from the service itself: a proxy's page, say */ }
  return `The service answered ${answer.status} ${answer.statusText}`.trim() + `.${wait}`;
}

let unsafe = ""; // the key where the browser keeps nothing

function kept() {
  try {
    return sessionStorage.getItem(KEPT) || unsafe;
  } catch {
    return unsafe;
  }
}

function keep(key) {
  unsafe = key;
  try {
    sessionStorage.setItem(KEPT, key);
  } catch { /* kept until the page is left */ }
}

let asking = null;

/** Ask for the key, once for all requests that wait for it; false if the user has none. */
function askForKey(said) {
  asking ??= new Promise((resolve) => {
    const dialog = get("key");
    get("key-said").textContent = said;
    get("key-value").value = "";
    get("key-form").onsubmit = (event) => {
      event.preventDefault();
      const key = get("key-value").value.trim();
      if (!/^[\x20-\x7e]+$/.test(key)) { // a header holds no other, and the browser would refuse every request
        get("key-said").textContent = "A key has only letters A to Z, digits and signs.";
        return;
      }
      keep(key);
      dialog.close("given");
    };
    get("key-cancel").onclick = () => dialog.close("");
    dialog.onclose = () => {
      asking = null;
      resolve(dialog.returnValue === "given");
    };
    dialog.returnValue = "";
    dialog.showModal();
  });
  return asking;
}

/** Review of duplicates: two listings side by side, answered by keys, each answer saved as it is given. */

import { call } from "./api.js";
import { alarm, calm, element, get, numberOf, percent, say } from "./dom.js";
import { factList, facts, picture } from "./listing.js";

const AT_ONCE = 50; // pairs asked for in one request
const SAID = { yes: "Same", no: "Different", unsure: "Not sure" };
const KEYS = { y: () => answer("yes"), n: () => answer("no"), u: () => answer("unsure"), b: undo };

const pairs = new Map(); // by number, from 0
const given = []; // numbers of the pairs answered here, in order: what undo goes back through
const unsaved = new Map(); // number to answer
let total = null;
let answered = 0;
let now = null; // the number of the pair shown; that of pairs where all are done
let saving = false;
let variants = null; // the column by which listings are variants, and what these are

/** Show the review, from the pair that the address names or the first without an answer. */
export async function open() {
  try {
    now ??= await firstOpen();
    const named = Number(new URLSearchParams(location.search).get("pair"));
    if (Number.isInteger(named) && named >= 1 && named <= total) now = named - 1;
    await show();
  } catch (error) {
    alarm(error.message, error.passing || error.status === 401 ? open : null);
  }
}

/** The number of the first pair without an answer; the number of pairs where all have one. */
async function firstOpen() {
  for (let offset = 0; ; offset += AT_ONCE) {
    const window = await load(offset);
    answered = window.answered;
    const open = window.pairs.findIndex((pair) => !pair.answer);
    if (open >= 0) return offset + open;
    if (offset + AT_ONCE >= window.total) return window.total;
  }
}

async function load(offset) {
  const window = await call(`v1/duplicates?offset=${offset}&limit=${AT_ONCE}`);
  total = window.total;
  tellVariants(window.variants);
  window.pairs.forEach((pair, number) => pairs.set(offset + number, pair));
  return window;
}

async function pairAt(number) {
  if (!pairs.has(number)) await load(number - (number % AT_ONCE));
  return pairs.get(number);
}

/** Show the pair whose turn it is; `done` is what was done before, for screen readers. */
async function show(done = "") {
  tell();
  const over = now >= total;
  get("answers").hidden = total === 0;
  get("review-empty").hidden = !over;
  get("pair").hidden = over;
  if (over) {
    get("review-empty").textContent = total
      ? "That was the last pair. The answers are saved with the service."
      : "There are no pairs to review.";
    say(`${done} ${get("review-empty").textContent}`);
    return;
  }
  get("pair").setAttribute("aria-busy", "true");
  const number = now;
  const pair = await pairAt(number);
  if (number !== now) return; // the user has gone on
  get("pair").removeAttribute("aria-busy");
  get("pair").replaceChildren(side(pair.a, pair.b, "First"), side(pair.b, pair.a, "Second"), ...below(pair));
  press();
  const titles = [pair.a, pair.b].map((listing) => listing.title || "a listing without a title");
  say(`${done} Pair ${now + 1} of ${total}: ${titles.join("; ")}.${pair.variants ? ` They differ in ${variants.column}.` : ""}`);
  if (now + 1 < total) {
    const next = await pairAt(now + 1); // and its photos, before they are wanted
    for (const listing of [next.a, next.b]) picture(listing);
  }
}

function tell() {
  get("bar").max = Math.max(1, total);
  get("bar").value = answered;
  const place = now < total ? `Pair ${now + 1} of ${total.toLocaleString("en")}, ` : "";
  get("count").textContent = `${place}${answered.toLocaleString("en")} answered`;
  get("back").disabled = given.length === 0;
  for (const said of Object.keys(SAID)) get(said).disabled = now >= total;
  press();
}

function press() {
  for (const said of Object.keys(SAID)) {
    get(said).setAttribute("aria-pressed", String(pairs.get(now)?.answer === said && now < total));
  }
}

function side(listing, other, name) {
  const others = new Map(facts(other));
  const differs = (key, value) => others.has(key) && String(others.get(key)) !== String(value);
  const about = listing.category ? [["category", listing.category], ...facts(listing)] : facts(listing);
  if (other.category) others.set("category", other.category);
  return element(
    "article", { className: "side", "aria-label": `${name} listing` }, picture(listing),
    element("div", { className: "text" }, title(listing, other), factList(about, differs), element("p", { className: "id" }, `id ${listing.id}`)),
  );
}

/** A word as it counts for being the same: without case and the signs around it. */
const bare = (word) => word.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");

/** A title, with the words that the other one lacks underlined. */
function title(listing, other) {
  const words = new Set((other.title ?? "").split(/\s+/).map(bare));
  const parts = (listing.title || "(no title)").split(/(\s+)/).map((part) => {
    const alone = listing.title && other.title && bare(part) && !words.has(bare(part));
    return alone ? element("span", { className: "differs" }, part) : part;
  });
  return element("h2", {}, ...parts);
}

/** What stands below the two sides: whether they are variants, where that is known, and what the model says. */
function below(pair) {
  const kind = pair.variants && element("p", { className: "kind" }, `They differ in ${variants.column}.`);
  return [kind, judgement(pair)].filter(Boolean);
}

const RULES = {
  same: (column) => `Listings that differ in ${column} alone are the same product.`,
  different: (column) => `Listings that differ in ${column} are different products, and not asked about.`,
};

function tellVariants(told) {
  variants = told;
  get("variants").hidden = !told;
  if (told) get("variants").textContent = RULES[told.are](told.column);
}

function judgement({ probability }) {
  const known = probability !== null && probability !== undefined;
  const text = known ? `The model: ${percent(probability)} likely the same product.` : "The model gives no probability.";
  return element("p", { className: "judgement note" }, text);
}

function answer(said) {
  if (!pairs.has(now)) return;
  if (!pairs.get(now).answer) answered += 1;
  given.push({ number: now, before: pairs.get(now).answer });
  keep(now, said);
  now += 1;
  move(`${SAID[said]}.`);
}

function undo() {
  const last = given.pop();
  if (!last) return;
  if (!last.before) answered -= 1;
  keep(last.number, last.before);
  now = last.number;
  move("Taken back.");
}

function move(done) {
  history.replaceState(null, "", `?view=duplicates${now < total ? `&pair=${now + 1}` : ""}`);
  show(done).catch((error) => alarm(error.message, open));
}

function keep(number, said) {
  pairs.get(number).answer = said;
  unsaved.delete(number);
  unsaved.set(number, said); // last in line
  save();
}

/** Send what is not saved yet, one after another; what fails stays in line. */
async function save() {
  if (saving) return;
  saving = true;
  let refused = ""; // for good: the answer would only keep the others from being saved
  try {
    while (unsaved.size) {
      get("saved").textContent = `Saving ${numberOf(unsaved.size, "answer")}…`;
      const [number, said] = unsaved.entries().next().value;
      const path = `v1/duplicates/${encodeURIComponent(pairs.get(number).key)}`;
      try {
        await call(path, { method: "PUT", json: { answer: said } });
      } catch (error) {
        if (error.passing ?? true) throw error;
        if (error.status === 401) throw error;
        refused = error.message;
      }
      if (unsaved.get(number) === said) unsaved.delete(number);
    }
    get("saved").textContent = refused ? "Not all answers could be saved." : "All answers are saved.";
    if (refused) alarm(`An answer was refused and is not kept: ${refused}`);
    else calm();
  } catch (error) {
    get("saved").textContent = `${numberOf(unsaved.size, "answer")} not saved yet.`;
    alarm(`${error.message} The answers given since are kept here until they can be saved.`, save);
  } finally {
    saving = false;
  }
}

for (const said of Object.keys(SAID)) get(said).addEventListener("click", () => answer(said));
get("back").addEventListener("click", undo);
get("reveal").addEventListener("change", () => get("review").classList.toggle("revealed", get("reveal").checked));

addEventListener("keydown", (event) => {
  if (get("review").hidden || !get("keys").checked || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const act = event.key === "ArrowLeft" || event.key === "Backspace" ? undo : KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});

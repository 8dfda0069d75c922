/** The search: its form and slider, its address, and its hits. */

import { call } from "./api.js";
import { alarm, calm, element, get, numberOf, percent, say } from "./dom.js";
import * as filters from "./filters.js";
import { card } from "./hits.js";
import * as photo from "./photo.js";

const FIRST = 12; // hits; "Show more" asks for twice as many
const MIDDLE = 50; // of the slider: as the model joins them

/** What an empty search says, by what the service can look for. */
const EMPTY = {
  both: "Drop a photo, type a title, or give both: the products most like it appear here.",
  image: "Drop, paste or choose a photo: the products most like it appear here.",
  title: "Type a title: the products most like it appear here.",
};

const IF_HERE = "They hold if the product is here at all.";
const UNLEARNED =
  "Scores are no probabilities. To have those, start this service with --query-probabilities FILE, made by item evaluate --probabilities FILE.";

let about = null;
let wanted = FIRST;
let running = null; // the search under way
let asked = null; // what the hits shown are of: {title, photo, weight, like}
let listing = null; // the hit that was last searched with: {id, title, photo}

/** Make the search work; `facts` are what /v1/about told. */
export function start(facts) {
  about = facts;
  get("photo-field").hidden = facts.modalities === "title";
  get("title-field").hidden = facts.modalities === "image";
  get("weigh").hidden = facts.modalities !== "both";
  filters.build(facts.filters, () => (asked ? begin() : undefined));
  get("filters").open = matchMedia("(min-width: 60rem)").matches;
  get("title").maxLength = facts.limits.title_chars;
  photo.listen(() => {
    settle();
    if (photo.current() || get("title").value.trim()) begin();
    else clear();
  });
  get("query").addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  get("title").addEventListener("input", settle);
  get("weight").addEventListener("input", tellWeight);
  get("weight").addEventListener("change", () => begin());
  get("more").addEventListener("click", more);
  restore(get("title").value);
}

/** Set the form as the page's address says, and search if it says what for; a `typed` title stays, to be gone on with. */
export function restore(typed = "") {
  const parameters = new URLSearchParams(location.search);
  write(typed || parameters.get("title"));
  filters.restore(parameters);
  settle();
  if (!typed && (get("title").value || photo.current())) run();
  else clear();
}

function write(title) {
  get("title").value = about.modalities === "image" ? "" : (title ?? "");
}

/** The weight of the photo to send: null where the model is to join both sides, or there is but one. */
function weight() {
  const value = Number(get("weight").value);
  return get("weight").disabled || value === MIDDLE ? null : value / 100;
}

/** The id of the listing that is searched with: null once its title or photo is changed or they are weighed. */
function like() {
  const same = listing && get("title").value === listing.title && photo.current() === listing.photo;
  return same && weight() === null ? listing.id : null;
}

function settle() {
  const both = Boolean(photo.current() && get("title").value.trim());
  get("weight").disabled = !both;
  get("weight-hint").hidden = both;
  tellWeight();
}

function tellWeight() {
  const value = Number(get("weight").value);
  let said = `photo ${value} %, title ${100 - value} %`;
  if (value === MIDDLE) said = "as the model joins them";
  if (value === 0) said = "the title alone";
  if (value === 100) said = "the photo alone";
  get("weight-said").textContent = get("weight").disabled ? "" : said;
  get("weight").setAttribute("aria-valuetext", said);
}

/** A search of the user's: from the first hits on, and with an address of its own. */
function begin() {
  wanted = FIRST;
  const parameters = new URLSearchParams();
  if (get("title").value.trim()) parameters.set("title", get("title").value.trim());
  filters.store(parameters);
  const query = `?${parameters}`;
  if (query !== (location.search || "?")) history.pushState(null, "", query);
  return run();
}

async function more() {
  const before = get("hits").children.length;
  wanted = Math.min(wanted * 2, about.limits.k);
  await run();
  get("hits").children[before]?.querySelector("h3").focus(); // the first that is new
}

async function run() {
  const product = { title: get("title").value.trim(), photo: photo.current(), weight: weight(), like: like() };
  running?.abort();
  if (!product.title && !product.photo) {
    alarm("Type a title, or give a photo, to search with.");
    get("title").focus();
    return;
  }
  const mine = (running = new AbortController());
  calm();
  get("results").setAttribute("aria-busy", "true");
  get("summary").textContent = "Searching…";
  categorise(product, mine.signal);
  try {
    const found = await call("v1/search", { method: "POST", form: form(product, searching(product)), signal: mine.signal });
    asked = product;
    show(found);
  } catch (error) {
    if (error.name === "AbortError") return;
    get("summary").textContent = "";
    alarm(error.message, error.passing || error.status === 401 ? run : null);
  }
  if (running === mine) get("results").removeAttribute("aria-busy");
}

/** What a search says beside its photo and title. */
function searching(product) {
  const said = { k: wanted };
  if (product.like !== null) said.id = product.like;
  if (filters.where()) said.where = filters.where();
  if (product.weight !== null) said.photo_weight = product.weight;
  return said;
}

function form(product, others = {}) {
  const data = new FormData();
  if (product.title && !others.id) data.set("title", product.title);
  if (product.photo && !others.id) data.set("image", product.photo, "photo");
  for (const [name, value] of Object.entries(others)) data.set(name, value);
  return data;
}

function show({ hits, milliseconds }) {
  get("hits").replaceChildren(...hits.map((hit, number) => card(hit, number + 1, { about, asked, again })));
  get("empty").hidden = hits.length > 0;
  const filtered = filters.where() !== "";
  get("empty").textContent = filtered ? "No product passes these filters. Clear one to see more." : "Nothing was found.";
  const counted = numberOf(hits.length, "hit");
  get("summary").textContent = `${counted} in ${Math.max(1, Math.round(milliseconds))} ms`;
  tellLearned(hits);
  say(hits.length ? `${counted}. First: ${hits[0].title || "a product without a title"}.` : get("empty").textContent);
  const most = Math.min(about.limits.k, about.products);
  get("more").hidden = hits.length < wanted || wanted >= most;
}

/** Where the probabilities of a query's hits come from, or what to do to have some. */
function tellLearned(hits) {
  const sides = (about.made_of === "image" || asked.title) && (about.made_of === "title" || asked.photo);
  const whole = sides && asked.weight === null && asked.like === null;
  const told = about.query_probabilities;
  const known = hits.some(({ probability }) => probability !== null && probability !== undefined);
  get("learned").hidden = !whole || (told !== null && !known);
  if (told === null) get("learned").textContent = UNLEARNED;
  else if (told.simulated) get("learned").textContent = `Probabilities are learned from ${numberOf(told.queries, "simulated relisting")}, which flatters them. ${IF_HERE}`;
  else get("learned").textContent = `Probabilities are learned from ${told.source}. ${IF_HERE}`;
}

function clear() {
  running?.abort();
  asked = null;
  get("hits").replaceChildren();
  get("results").removeAttribute("aria-busy");
  get("summary").textContent = "";
  get("learned").hidden = true;
  get("category").hidden = true;
  get("more").hidden = true;
  get("empty").hidden = false;
  get("empty").textContent = EMPTY[about.modalities];
}

/** Search with a hit, whose title and photo the form then has. */
async function again(hit, blob) {
  write(hit.title);
  await photo.take(about.modalities === "title" ? null : blob);
  listing = { id: hit.id, title: get("title").value, photo: photo.current() };
  settle();
  scrollTo({ top: 0 });
  await begin();
  get("title").focus();
}

async function categorise(product, signal) {
  if (!about.category) return;
  try {
    const told = await call("v1/category", { method: "POST", form: form(product), signal });
    showCategory(told);
  } catch (error) {
    if (error.name === "AbortError") return;
    showCategory({ candidates: [], sentence: error.message });
  }
}

const CERTAINTY = {
  leaf: (path, certain) => path + certain,
  shorter: (path, certain) => `${path}${certain} (the leaf is less certain)`,
  none: (path, certain, reason) => reason ?? "Not certain enough to name one.",
};

function showCategory({ category, answered, probability, reason, candidates, sentence }) {
  const certain = probability === null ? "" : ` · ${percent(probability)}`;
  get("category").hidden = false;
  get("category-said").textContent = sentence ?? CERTAINTY[answered](category, certain, reason);
  get("others").hidden = candidates.length === 0;
  get("candidates").replaceChildren(
    ...candidates.map(({ category: name, probability }) =>
      element(
        "li", {},
        element("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" }),
        element("span", { className: "figure" }, percent(probability)), element("span", {}, name),
      ),
    ),
  );
}

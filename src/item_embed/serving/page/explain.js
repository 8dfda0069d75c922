/** Why a hit is like what was searched for: words marked by weight, and a heat map over both photos. */

import { call } from "./api.js";
import { element, get, percent } from "./dom.js";
import { picture } from "./listing.js";
import { base64 } from "./photo.js";

const FAINTEST = 0.04; // of the largest weight: less is not marked
const STRONGEST = 0.75; // opacity of the largest weight, so that the photo shows through

/** What a weight is, by the method that the service says it used. */
const METHODS = {
  occlusion:
    "By occlusion: a weight is what the score loses when the word or the part of the photo is left out. These do not add up to the score.",
  gradients:
    "By integrated gradients: a weight is what the word or the part of the photo adds to the score of a blank listing. These add up to the score.",
};

let running = null;

/** Open the dialog about a hit; `asked` is what was searched with, {title, photo, weight}. */
export async function explain(asked, hit) {
  running?.abort();
  const mine = (running = new AbortController());
  get("why-score").textContent = "Looking for the reasons…";
  get("why-method").textContent = "";
  get("why-sides").replaceChildren();
  get("why-legend").hidden = true;
  get("why").showModal();
  try {
    const a = { title: asked.title || undefined, image: asked.photo ? await base64(asked.photo) : undefined };
    const body = { a, b: { id: hit.id } };
    show(await call("v1/explain", { method: "POST", json: body, signal: mine.signal }), asked, hit);
  } catch (error) {
    if (error.name !== "AbortError") get("why-score").textContent = error.message;
  }
}

function show(told, asked, hit) {
  const known = hit.probability !== null && hit.probability !== undefined;
  const likely = known ? `, ${percent(hit.probability)} likely the same product` : "";
  const how = asked.weight === null ? "" : " as the model joins photo and title, whatever the slider says";
  get("why-score").textContent = `Score ${told.score.toFixed(3)}${likely}${how}.`;
  get("why-method").textContent = METHODS[told.method];
  const largest = Math.max(...[told.a, told.b].flatMap((side) => (side.patches ?? []).flat()).map(Math.abs), 0);
  const loudest = Math.max(...[told.a, told.b].flatMap((side) => side.words).map(({ weight }) => Math.abs(weight)), 0);
  get("why-sides").replaceChildren(
    side("What you gave", told.a, asked.photo ? yours(asked.photo) : null, largest, loudest),
    side("The product found", told.b, hit.photo ? picture(hit) : null, largest, loudest),
  );
  get("why-legend").hidden = false;
}

function yours(photo) {
  const image = element("img", { src: URL.createObjectURL(photo), alt: "Your photo" });
  image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
  return element("div", { className: "photo" }, image);
}

const sum = (numbers) => numbers.reduce((all, each) => all + each, 0);
const signed = (number) => (number < 0 ? "−" : "+") + Math.abs(number).toFixed(3);

/** What the weights of a side's words and photo sum to: each side is explained while the other stays as it is. */
function parts(told) {
  const said = [];
  if (told.words.length) said.push(`words ${signed(sum(told.words.map(({ weight }) => weight)))}`);
  if (told.patches) said.push(`photo ${signed(sum(told.patches.flat()))}`);
  return said.join(", ");
}

function side(name, told, photo, largest, loudest) {
  const box = element("article", { className: "side" });
  if (photo) {
    if (told.patches) photo.append(heatMap(told, largest));
    photo.classList.add("heated");
    photo.style.aspectRatio = told.patches ? `${told.columns} / ${told.rows}` : "1";
    box.append(photo);
  } else {
    box.append(element("div", { className: "no-photo" }, "no photo"));
  }
  const text = element("div", { className: "text" }, element("h3", {}, name), element("p", { className: "note" }, parts(told)));
  text.append(told.words.length ? marked(told.words, loudest) : element("p", {}, "No title."));
  if (told.words.length) text.append(table(told.words));
  box.append(text);
  return box;
}

/** A canvas of one pixel a patch, stretched over the photo. */
function heatMap({ rows, columns, patches }, largest) {
  const canvas = element("canvas", { className: "heat", width: columns, height: rows, role: "img" });
  canvas.setAttribute("aria-label", `Heat map: ${strongest({ rows, columns, patches })}.`);
  const colours = getComputedStyle(document.documentElement);
  const context = canvas.getContext("2d");
  patches.forEach((row, y) =>
    row.forEach((weight, x) => {
      const share = largest ? Math.abs(weight) / largest : 0;
      if (share < FAINTEST) return;
      context.globalAlpha = STRONGEST * share;
      context.fillStyle = colours.getPropertyValue(weight > 0 ? "--for" : "--against");
      context.fillRect(x, y, 1, 1);
    }),
  );
  return canvas;
}

/** Where most weight lies, in words: of nine fields of the photo. */
function strongest({ rows, columns, patches }) {
  const fields = new Map();
  patches.forEach((row, y) =>
    row.forEach((weight, x) => {
      const vertical = ["upper", "middle", "lower"][Math.floor((3 * y) / rows)];
      const horizontal = ["left", "centre", "right"][Math.floor((3 * x) / columns)];
      const name = `${vertical} ${horizontal}`;
      fields.set(name, (fields.get(name) ?? 0) + weight);
    }),
  );
  const [name, weight] = [...fields].sort((one, other) => other[1] - one[1])[0];
  return weight > 0 ? `most of what makes them alike is in the ${name}` : "no part makes them alike";
}

function marked(words, loudest) {
  const spans = words.flatMap(({ word, weight }) => {
    const share = loudest ? Math.abs(weight) / loudest : 0;
    const made = element("span", { title: signed(weight) }, word);
    if (share >= FAINTEST) {
      made.className = weight > 0 ? "word for" : "word against";
      made.style.setProperty("--share", share.toFixed(2));
    }
    return [made, " "];
  });
  return element("p", { className: "words" }, ...spans);
}

function table(words) {
  const rows = [...words]
    .sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight))
    .map(({ word, weight }) => element("tr", {}, element("td", {}, word), element("td", {}, signed(weight))));
  const head = element("tr", {}, element("th", { scope: "col" }, "word"), element("th", { scope: "col" }, "weight"));
  return element(
    "details", {}, element("summary", {}, "Weights of the words"),
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
  );
}

get("why-close").addEventListener("click", () => get("why").close());
get("why").addEventListener("close", () => running?.abort());
get("heat").addEventListener("change", () => get("why").classList.toggle("plain", !get("heat").checked));

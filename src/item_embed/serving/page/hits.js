/** One hit as a card: its photo, how alike it is, its facts, and why. */

import { photo as load } from "./api.js";
import { alarm, element, percent } from "./dom.js";
import { explain } from "./explain.js";
import { factList, facts, picture } from "./listing.js";

const FACTS = 3; // of a listing's on its card; the others open

/**
 * A hit's card.
 *
 * @param {object} hit as /v1/search gives it
 * @param {number} rank from 1
 * @param {object} context `about` (the service), `asked` (what was searched with), `again(hit, blob)`
 */
export function card(hit, rank, { about, asked, again }) {
  const all = facts(hit);
  const first = all.length > FACTS + 1 ? FACTS : all.length; // none opens a line for one fact
  const text = element(
    "div", { className: "text" },
    likeness(hit, rank),
    element("h3", { tabIndex: -1 }, hit.title || "(no title)"),
    hit.category ? element("p", { className: "note" }, hit.category) : null,
    factList(all.slice(0, first)),
    all.length > first
      ? element("details", {}, element("summary", {}, `${all.length - first} more`), factList(all.slice(first)))
      : null,
    element("p", { className: "id" }, `id ${hit.id}`),
    buttons(hit, about, asked, again),
  );
  return element("li", { className: "hit" }, picture(hit), text);
}

function likeness(hit, rank) {
  const score = `score ${hit.score.toFixed(3)}`;
  const known = hit.probability !== null && hit.probability !== undefined;
  return element(
    "p", { className: "likeness" }, element("span", { className: "rank" }, String(rank)),
    known ? element("meter", { min: 0, max: 1, value: hit.probability, "aria-hidden": "true" }) : null,
    known
      ? element("span", { className: "figure", title: `${score}; likely the same product` }, `same: ${percent(hit.probability)}`)
      : element("span", { className: "figure" }, score),
  );
}

function buttons(hit, about, asked, again) {
  const named = hit.title || `product ${hit.id}`;
  const why = element("button", { type: "button", "aria-label": `Why is ${named} alike?` }, "Why");
  why.addEventListener("click", () => explain(asked, hit));
  const like = element("button", { type: "button", "aria-label": `Similar to ${named}` }, "Similar");
  like.addEventListener("click", async () => {
    try {
      await again(hit, hit.photo ? (await load(hit.photo)).blob : null);
    } catch (error) {
      alarm(error.message);
    }
  });
  return element("div", { className: "buttons" }, about.explain ? why : null, like);
}

/** The page: asks the service what it can do, and shows the search or the review of duplicates. */

import { call } from "./api.js";
import { alarm, calm, get, numberOf } from "./dom.js";
import * as review from "./review.js";
import * as search from "./search.js";

const VIEWS = { search: "to-search", duplicates: "to-duplicates" };

let about = null; // what the service has told of itself

async function start() {
  try {
    about = await call("v1/about");
    calm();
    get("about").textContent = `${numberOf(about.products, "product")} · ${about.version}`;
    get("to-duplicates").hidden = !about.duplicates;
    search.start(about);
    view();
  } catch (error) {
    alarm(error.message, start);
  }
}

/** Show what the address names. */
function view() {
  const duplicates = new URLSearchParams(location.search).get("view") === "duplicates";
  const now = duplicates ? "duplicates" : "search";
  get("search").hidden = duplicates;
  get("review").hidden = !duplicates || !about.duplicates;
  get("no-review").hidden = !duplicates || about.duplicates;
  document.title = duplicates ? "Duplicates - item-embed" : "item-embed";
  for (const [name, link] of Object.entries(VIEWS)) {
    if (name === now) get(link).setAttribute("aria-current", "page");
    else get(link).removeAttribute("aria-current");
  }
  if (!get("review").hidden) review.open();
}

for (const link of Object.values(VIEWS)) {
  get(link).addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // to another tab
    event.preventDefault();
    if (!about) return;
    calm();
    history.pushState(null, "", get(link).getAttribute("href"));
    view();
    get("main").focus();
  });
}

addEventListener("popstate", () => {
  if (!about) return;
  calm();
  view();
  if (!get("search").hidden) search.restore();
});

start();

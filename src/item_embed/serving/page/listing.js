/** A listing as the service gives it: its photo and its facts. */

import { photo as load } from "./api.js";
import { element, shown } from "./dom.js";

/** A box with a listing's photo, which comes when it has been loaded. */
export function picture(listing) {
  const box = element("div", { className: "photo" });
  const none = () => box.replaceChildren(element("div", { className: "no-photo" }, "no photo"));
  if (!listing.photo) {
    none();
    return box;
  }
  const image = element("img", { alt: listing.title ? `Photo of ${listing.title}` : "Photo without a title" });
  image.onerror = none;
  box.append(image);
  load(listing.photo).then(({ url }) => (image.src = url), none);
  return box;
}

/** A listing's facts as a list; `differs` marks what another listing says otherwise. */
export function factList(facts, differs = () => false) {
  const rows = facts.flatMap(([name, value]) => [
    element("dt", {}, name),
    element("dd", { className: differs(name, value) ? "differs" : "" }, shown(value)),
  ]);
  return element("dl", { className: "facts" }, ...rows);
}

/** What is known of a listing beside its title, as pairs of name and value. */
export function facts(listing) {
  return Object.entries(listing.metadata ?? {}).filter(([, value]) => value !== null && value !== "");
}

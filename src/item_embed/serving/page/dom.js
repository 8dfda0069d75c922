/** The few steps that every part of the page takes to show something. */

export const get = (id) => document.getElementById(id);

/**
 * Make an element. Text becomes text, never HTML: titles are written by anybody.
 * A property with a hyphen, `role` and `for` become attributes, all others properties; undefined ones are left out.
 */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (key.includes("-") || key === "role" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Tell screen readers, in a few words, what has happened. */
export function say(text) {
  get("said").textContent = text;
}

let retry = null;

/** Show a sentence about what failed; `again`, if given, is what its button does. */
export function alarm(sentence, again = null) {
  retry = again;
  get("alert-text").textContent = sentence;
  get("alert-retry").hidden = again === null;
  get("alert").hidden = false;
}

/** Take the sentence away. */
export function calm() {
  get("alert").hidden = true;
  get("alert-text").textContent = "";
}

get("alert-close").addEventListener("click", calm);
get("alert-retry").addEventListener("click", () => {
  calm();
  retry?.();
});

const WHOLE = new Intl.NumberFormat("en");

/** A number and its noun: 1 hit, 2,000 hits. */
export const numberOf = (count, one) => `${WHOLE.format(count)} ${one}${count === 1 ? "" : "s"}`;

/** A probability as people read it; never 100 % or 0 % of what is not certain. */
export function percent(probability) {
  const whole = Math.round(probability * 100);
  if (whole === 100 && probability < 1) return ">\u00a099\u00a0%";
  if (whole === 0 && probability > 0) return "<\u00a01\u00a0%";
  return `${whole}\u00a0%`;
}

/** A value of a listing's facts as text. */
export const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

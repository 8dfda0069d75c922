/** Filters: controls made from the service's columns, and their text in the language of `item search --where`. */

import { element, get } from "./dom.js";

const AT_ONCE = 5; // columns; more stand behind a line that opens
const ALL_VALUES = 20; // the service names no more, so a full list may lack some

const PLAIN = /^(?!(and|or|not|in|is|null)$)[a-z_]\w*$/i; // names that stand without quotes

let columns = [];

const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;

/** Make the controls; `changed` is called when one is. */
export function build(filters, changed) {
  columns = Object.entries(filters)
    .filter(([name]) => !name.includes("`")) // the language cannot name such a column
    .map(([name, about], number) => column(name, about, `filter-${number}`));
  const controls = columns.map((each) => each.control);
  const written = example(filters);
  if (written) get("where-hint").replaceChildren("As in ", element("code", {}, written), "; it is added to the choices above.");
  get("columns").replaceChildren(...controls.slice(0, AT_ONCE));
  if (controls.length > AT_ONCE) {
    const rest = controls.slice(AT_ONCE);
    get("columns").append(element("details", {}, element("summary", {}, `${rest.length} more`), ...rest));
  }
  get("filters").hidden = false;
  get("filters").addEventListener("change", () => {
    count();
    changed();
  });
  get("clear").addEventListener("click", () => {
    restore(new URLSearchParams());
    changed();
  });
}

/** The whole filter as text; empty where nothing is filtered. */
export function where() {
  const parts = columns.flatMap((each) => each.conditions());
  const written = get("where").value.trim();
  if (written) parts.push(parts.length ? `(${written})` : written);
  return parts.join(" and ");
}

/** Write the filters into an address's parameters. */
export function store(parameters) {
  for (const each of columns) each.store(parameters);
  const written = get("where").value.trim();
  if (written) parameters.set("where", written);
}

/** Set the filters as an address's parameters say. */
export function restore(parameters) {
  for (const each of columns) each.restore(parameters);
  get("where").value = parameters.get("where") ?? "";
  if (count()) get("filters").open = true;
}

function count() {
  const active = columns.filter((each) => each.conditions().length).length + (get("where").value.trim() ? 1 : 0);
  get("filters-count").textContent = active ? `${active} set` : "";
  return active;
}

/** A filter as text, of columns that there are: a number, and the text that takes least room. */
function example(filters) {
  const named = Object.entries(filters).filter(([name, { values }]) => !name.includes("`") && values?.length);
  const of = (type, part) =>
    named.filter(([, about]) => about.type === type).map(([name, { values }]) => part(PLAIN.test(name) ? name : `\`${name}\``, values));
  const numbers = of("number", (name, values) => `${name} < ${values[0]}`);
  const texts = of("text", (name, values) => `not ${name} in (${values.slice(0, 2).map(quoted).join(", ")})`);
  return [numbers[0], texts.sort((a, b) => a.length - b.length)[0]].filter(Boolean).join(" and ");
}

function column(name, about, id) {
  if (about.type === "number") return range(name, id);
  if (about.type === "truth") return choice(name, id, [["true", "yes"], ["false", "no"]]);
  const values = (about.values ?? []).map(String);
  if (values.length && values.length < ALL_VALUES) return choice(name, id, values.map((value) => [value, value]));
  return typed(name, id, values);
}

function choice(name, id, values) {
  const options = [["", "any"], ...values].map(([value, text]) => element("option", { value }, text));
  return single(name, id, element("select", { id }, ...options));
}

function typed(name, id, values) {
  const list = element("datalist", { id: `${id}-values` }, ...values.map((value) => element("option", { value })));
  const input = element("input", { id, type: "text", placeholder: "any", autocomplete: "off" });
  input.setAttribute("list", list.id);
  return single(name, id, input, list);
}

function single(name, id, input, list = null) {
  const key = `filter.${name}`;
  return {
    control: element("div", { className: "field" }, element("label", { className: "name", for: id }, name), input, list),
    conditions: () => (input.value.trim() ? [`\`${name}\` = ${quoted(input.value.trim())}`] : []),
    store: (parameters) => input.value.trim() && parameters.set(key, input.value.trim()),
    restore: (parameters) => {
      const value = parameters.get(key) ?? "";
      if (value && input.tagName === "SELECT" && ![...input.options].some((option) => option.value === value)) {
        input.append(element("option", { value }, value)); // of a link made when the column had that value often
      }
      input.value = value;
    },
  };
}

function range(name, id) {
  const ends = [["from", ">="], ["to", "<="]].map(([word, sign]) => {
    const input = element("input", { type: "number", step: "any", placeholder: word, "aria-label": `${name} ${word}` });
    input.id = `${id}-${word}`;
    return { word, sign, input };
  });
  return {
    control: element(
      "div", { className: "field", role: "group", "aria-label": name }, element("span", { className: "name" }, name),
      element("div", { className: "range" }, ...ends.map(({ input }) => input)),
    ),
    conditions: () => ends.flatMap(({ sign, input }) => (input.value ? [`\`${name}\` ${sign} ${input.value}`] : [])),
    store: (parameters) => {
      for (const { word, input } of ends) if (input.value) parameters.set(`filter.${name}.${word}`, input.value);
    },
    restore: (parameters) => {
      for (const { word, input } of ends) input.value = parameters.get(`filter.${name}.${word}`) ?? "";
    },
  };
}

"use strict";
const { key, pairs } = JSON.parse(document.getElementById("data").textContent);
const NAME = `item-duplicates-${key}`;
const SAID = { yes: "same", no: "different", unsure: "not sure" };
const get = (id) => document.getElementById(id);
let answers = new Array(pairs.length).fill(null);
let now = 0;
let unsaved = false;

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) || "null");
    if (kept && kept.answers.length === pairs.length) {
      answers = kept.answers;
      now = kept.now;
    }
    get("kept").textContent = "Your progress is kept in this browser; you can close the page and go on later.";
  } catch {
    get("kept").textContent = "This browser keeps no progress for this page: save the answers before you close it.";
  }
}

function keep() {
  try {
    localStorage.setItem(NAME, JSON.stringify({ answers, now }));
  } catch { /* said by restore */ }
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text; // never as HTML: titles are written by anybody
  return made;
}

function side(listing, other) {
  const card = element("article", "side");
  const photo = element("div", "photo");
  if (listing.photo) {
    const image = element("img");
    image.src = listing.photo;
    image.alt = listing.title || "photo without a title";
    photo.append(image);
  } else {
    photo.append(element("div", "no-photo", "no photo"));
  }
  const text = element("div", "text");
  text.append(element("h2", listing.title === other.title ? "" : "differs", listing.title || "(no title)"));
  const facts = element("dl");
  const others = new Map(other.facts);
  for (const [name, value] of listing.facts) {
    const differs = others.has(name) && others.get(name) !== value;
    facts.append(element("dt", "", name), element("dd", differs ? "differs" : "", value));
  }
  text.append(facts);
  card.append(photo, text);
  return card;
}

function show() {
  const done = answers.filter((answer) => answer !== null).length;
  get("bar").value = done;
  get("count").textContent = `${done} of ${pairs.length} answered`;
  const over = now >= pairs.length;
  get("end").hidden = !over;
  get("pair").hidden = over;
  get("back").disabled = now === 0;
  for (const answer of Object.keys(SAID)) {
    get(answer).disabled = over;
    get(answer).setAttribute("aria-pressed", String(!over && answers[now] === answer));
  }
  if (!over) {
    const [one, other] = pairs[now].sides;
    get("pair").replaceChildren(side(one, other), side(other, one));
  }
}

function answer(said) {
  if (now >= pairs.length) return;
  answers[now] = said;
  now += 1;
  unsaved = true;
  const next = now < pairs.length ? `Pair ${now + 1} of ${pairs.length}.` : "All pairs are answered.";
  get("said").textContent = `${SAID[said]}. ${next}`;
  keep();
  show();
}

function back() {
  if (now === 0) return;
  now -= 1;
  get("said").textContent = `Back at pair ${now + 1}.`;
  keep();
  show();
}

function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save() {
  const rows = [["id", "other_id", "same", "stratum", "stratum_pairs"]];
  pairs.forEach((pair, number) => {
    if (answers[number] === null) return;
    rows.push([pair.sides[0].id, pair.sides[1].id, answers[number], pair.stratum, pair.pairs]);
  });
  const csv = rows.map((row) => row.map(quoted).join(",") + "\r\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv;charset=utf-8" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  unsaved = false;
  get("said").textContent = `${rows.length - 1} answers saved.`;
}

for (const said of Object.keys(SAID)) get(said).addEventListener("click", () => answer(said));
get("back").addEventListener("click", back);
get("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const keys = { y: () => answer("yes"), n: () => answer("no"), u: () => answer("unsure"), b: back };
  const act = event.key === "ArrowLeft" || event.key === "Backspace" ? back : keys[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act();
  }
});
addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
restore();
show();

/** The photo of a search: chosen, dropped or pasted, and made small before it is sent. */

import { alarm, calm, element, get, say } from "./dom.js";

const LONGEST = 1024; // pixels of a side: models read less
const QUALITY = 0.9;

let chosen = null; // {blob, url}

/** The photo of the search as a Blob, or null. */
export const current = () => chosen?.blob ?? null;

/** A Blob's bytes as base64. */
export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/**
 * A photo no larger than the service needs it: as it is where it is small, else as JPEG on white. What the browser
 * cannot read goes as it is too, for the service to say what is wrong with it.
 */
export async function shrunk(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob); // upright, as EXIF says
  } catch {
    return blob;
  }
  const scale = LONGEST / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) {
    bitmap.close();
    return blob;
  }
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // behind what is transparent, as the service does
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return (await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY))) ?? blob;
}

/** Take a photo for the search, or none. */
export async function take(blob) {
  const small = blob && (await shrunk(blob));
  if (chosen) URL.revokeObjectURL(chosen.url);
  chosen = small && { blob: small, url: URL.createObjectURL(small) };
  const preview = get("preview");
  preview.hidden = !chosen;
  if (chosen) preview.src = chosen.url;
  else preview.removeAttribute("src");
  get("choose").textContent = chosen ? "Choose another" : "Choose a photo";
  get("remove").hidden = !chosen;
}

/** Let photos be chosen, dropped and pasted; `changed` is called when there is another one, or none. */
export function listen(changed) {
  const input = get("photo");
  const set = async (blob, said) => {
    calm();
    await take(blob);
    say(said);
    changed();
  };
  const offered = (files) => {
    const file = [...files].find((each) => each.type.startsWith("image/"));
    if (file) set(file, "Photo taken.");
    else if (files.length) alarm(`${files[0].name || "That"} is not a photo; give a JPEG, PNG or WebP file.`);
    return Boolean(files.length);
  };
  const choose = () => {
    offered(input.files);
    input.value = ""; // so that the same file can be chosen again
  };
  input.addEventListener("change", choose);
  choose(); // what was chosen while the page was loading
  get("remove").addEventListener("click", async () => {
    await set(null, "Photo removed.");
    input.focus();
  });
  get("preview").addEventListener("error", () => {
    get("preview").hidden = true; // a format that the service may read, and the browser does not
  });
  addEventListener("paste", (event) => {
    if (wanted() && offered(event.clipboardData.files)) event.preventDefault();
  });
  listenToDrops(offered);
}

function listenToDrops(offered) {
  const mark = (over) => get("drop").classList.toggle("over", over);
  addEventListener("dragover", (event) => {
    event.preventDefault(); // or the browser would leave the page for the file
    mark(wanted());
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (wanted()) offered(event.dataTransfer.files);
  });
}

function wanted() {
  return !get("search").hidden && !get("photo-field").hidden && !document.querySelector("dialog[open]");
}

// Links to resources, and style sheets. (HTML, "The link element", "The style element".)

import { op_decode, op_url_parse } from "ops";
import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { load } from "../webidl.js";
import { lowercase } from "./attributes.js";
import { fetchForElement } from "./element_fetch.js";
import { dimensionsOf } from "./image_headers.js";
import { delayLoad } from "./loading.js";
import { attribute, childTextContent, isConnected, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { crossOriginOf } from "./scripts.js";
import { attributeSteps, recordSteps } from "./steps.js";
import { newStyleSheet, urlsOfDeclarations, urlsOfSheet } from "./style_sheets.js";

const relations = (element) => new Set(lowercase(attribute(element, "rel") ?? "").split(/[\t\n\f\r ]+/));

// Fetch and process the linked resource.
function process(element) {
  const own = ownOf(element);
  own.generation = (own.generation ?? 0) + 1;
  const { generation } = own;
  own.sheet = null;
  if (!isConnected(element) || !element.document.isShown) return;
  const href = attribute(element, "href");
  if (href === null || href === "") return;
  const url = resolve(element, href);
  const steps = stepsFor(element, relations(element));
  if (url === null || steps === null) return;
  const release = steps.delaysLoad ? delayLoad(element.document) : () => {};
  const settle = (type, sheet = null) => queueTask("networking", () => {
    if (own.generation === generation) {
      own.sheet = sheet;
      fireEvent(wrap(element), type, true);
    }
    release();
  });
  steps.run(url, {
    crossOrigin: crossOriginOf(element), integrity: attribute(element, "integrity") ?? undefined, referrerPolicy: lowercase(attribute(element, "referrerpolicy") ?? ""),
  }).then((sheet) => settle("load", sheet), () => settle("error"));
}

function stepsFor(element, rel) {
  if (rel.has("stylesheet") && !rel.has("alternate")) {
    return attribute(element, "disabled") !== null ? null : { delaysLoad: true, run: (url, settings) => loadSheet(element.document, url, settings) };
  }
  if (rel.has("modulepreload")) return { delaysLoad: false, run: preloadModule };
  if (rel.has("preload")) {
    const as = lowercase(attribute(element, "as") ?? "");
    const destination = PRELOADED[as];
    return destination === undefined || !Object.hasOwn(PRELOADED, as) ? null : { delaysLoad: false, run: (url, settings) => fetchOnly(url, destination, settings) };
  }
  if (rel.has("prefetch")) return { delaysLoad: false, run: (url, settings) => fetchOnly(url, "", settings) };
  if (rel.has("icon")) return { delaysLoad: false, run: loadIcon };
  return null;
}

// Translate a preload destination.
const PRELOADED = { fetch: "", font: "font", image: "image", script: "script", style: "style", track: "track", json: "json" };

async function fetchOnly(url, destination, settings) {
  const response = await fetchForElement({ url, destination, ...settings });
  await response.bytes();
  if (!response.isOk) throw new TypeError(`status ${response.status}`);
  return null;
}

async function loadIcon(url, settings) {
  const response = await fetchForElement({ url, destination: "image", ...settings });
  if (dimensionsOf(await response.bytes(), response.contentType) === null) throw new TypeError("it is not an image");
  return null;
}

async function preloadModule(url, settings) {
  const module = await load("module_scripts.js").fetchExternal(url, settings);
  if (module === null) throw new TypeError("it cannot be fetched");
  return null;
}

// The linked resource fetch and processing steps of a style sheet, and what it imports. Gives the sheet.
async function loadSheet(document, url, settings, depth = 0) {
  const response = await fetchForElement({ url, destination: "style", ...settings });
  if (!response.isOk) throw new TypeError(`status ${response.status}`);
  // Without a type it is what the keyword's default type says.
  const isCss = (response.contentType === null && !response.isNoSniff) || /^text\/css(;|$)/i.test((response.contentType ?? "").trim());
  const isTolerated = document.mode === "quirks" && !response.isNoSniff && (response.type === "basic" || response.type === "default");
  if (!isCss && !isTolerated) throw new TypeError(`its type is ${response.contentType}`);
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(response.contentType ?? "")?.[1] ?? "utf-8";
  const text = op_decode(await response.bytes(), charset);
  const base = response.url ?? url;
  await loadSheetResources(document, text, base, depth);
  return newStyleSheet({ text, href: base, isVisible: response.type !== "opaque" });
}

// Fetches what a sheet imports, and the images and fonts that it names.
export async function loadSheetResources(document, text, base, depth = 0) {
  const { imports, images, corsImages, fonts } = urlsOfSheet(text);
  const resolved = (url) => op_url_parse(url.toWellFormed(), base)?.href ?? null;
  // A sheet that imports itself would never end.
  const sheets = depth < 8 ? imports.map(resolved).filter((url) => url !== null && url !== base) : [];
  const referrer = /^https?:/.test(base) && base !== document.home.urlOf(document) ? base : undefined;
  for (const url of images.map(resolved)) loadNamed(document, url, "image", false, referrer);
  for (const url of corsImages.map(resolved)) loadNamed(document, url, "image", true, referrer);
  for (const url of fonts.map(resolved)) loadNamed(document, url, "font", true, referrer);
  await Promise.all(sheets.map((url) => loadSheet(document, url, { referrer }, depth + 1).catch(() => null)));
}

// Fetches an image or a font that style names.
function loadNamed(document, url, destination, isCors, referrer = undefined) {
  if (url === null || url.startsWith("data:")) return;
  const release = delayLoad(document);
  const settings = isCors ? { mode: "cors", crossOrigin: "anonymous" } : {};
  fetchForElement({ url, destination, referrer, ...settings }).then((response) => response.bytes()).then(release, release);
}

// What a style attribute names is fetched when it first does.
attributeSteps.set("style", (element, old, value) => {
  if (value === null || !value.includes("url(") || !element.document.isShown || !isConnected(element)) return;
  const before = urlsOfDeclarations(old ?? "");
  const now = urlsOfDeclarations(value);
  for (const url of now.images) if (!before.images.includes(url)) loadNamed(element.document, resolve(element, url), "image", false);
  for (const url of now.corsImages) if (!before.corsImages.includes(url)) loadNamed(element.document, resolve(element, url), "image", true);
});

const TRIGGERS = new Set(["href", "rel", "as", "disabled", "crossorigin", "type", "media"]);

recordSteps.set("link", {
  connected: process,
  disconnected(element) {
    const own = ownOf(element);
    own.generation = (own.generation ?? 0) + 1;
    own.sheet = null;
  },
  changed(element, name, old, value) { if (TRIGGERS.has(name) && old !== value && isConnected(element)) process(element); },
});

// Update a style block.
function updateStyle(element) {
  const own = ownOf(element);
  own.generation = (own.generation ?? 0) + 1;
  const { generation } = own;
  own.sheet = null;
  const type = attribute(element, "type");
  if (!isConnected(element) || !element.document.isShown || (type !== null && type !== "" && lowercase(type) !== "text/css")) return;
  const text = childTextContent(element);
  own.sheet = newStyleSheet({ text, href: null, isVisible: true });
  const release = delayLoad(element.document);
  const settle = () => queueTask("networking", () => {
    if (own.generation === generation) fireEvent(wrap(element), "load", true);
    release();
  });
  loadSheetResources(element.document, text, element.document.home.baseUrlOf(element.document)).then(settle, settle);
}

// While the parser is in it, the text of a style element is not complete.
const isOpen = (element) => element.document.parser !== null && element.document.parser !== undefined && element.own?.isPopped !== true && element.own?.ofParser === true;

recordSteps.set("style", {
  popped(element) {
    ownOf(element).isPopped = true;
    updateStyle(element);
  },
  connected(element) { if (!isOpen(element)) updateStyle(element); },
  disconnected: updateStyle,
  children(element) { if (!isOpen(element)) updateStyle(element); },
});

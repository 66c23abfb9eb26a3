// The document of the window: made when it is first asked for, or when there is something to parse.

import { op_decode, op_set_base_url } from "ops";
import { queueTask } from "../event_loop.js";
import { setTreeOfTargets } from "../events.js";
import { iframeSteps, setDelayLoad } from "../iframe.js";
import { nameChanged, setNamedElement } from "../window_scope.js";
import { load } from "../webidl.js";
import { checkCodeGeneration } from "../code_generation.js";
import { activationOf } from "./activation.js";
import { charsetOf, essenceOf, fillViewer, kindOf } from "./document_kinds.js";
import "./event_handlers.js";
import { home } from "./home.js";
import { alreadyLoaded, delayLoad, documentLoaded, theEnd } from "./loading.js";
import { append } from "./mutation.js";
import { DOCUMENT, attribute, firstElement, firstElementChild, isHtml, newDocument, newElement, wrap } from "./nodes.js";
import { recordIfNode } from "./node.js";
import { DocumentParser } from "./parser.js";
import { documentText } from "./encodings.js";
import "./resources.js";
import "./scripts.js";
import { addName, elementsNamed, removeName } from "./names.js";
import { elementSteps, recordSteps, setNames } from "./steps.js";

let current = null;

// The window's document, as a record.
export function windowDocument() {
  // The initial about:blank.
  current ??= createDocument({ isInitialAboutBlank: true });
  return current;
}

// Create and initialize a Document object: the one of the window from now on. With isInitialAboutBlank
// it has its elements and has loaded; else it is to be parsed.
export function createDocument({ contentType = "text/html", referrer = "", isInitialAboutBlank = false } = {}) {
  if (current !== null) current.isShown = false;
  current = newDocument({ contentType: essenceOf(contentType), home });
  current.isShown = true;
  current.referrer = referrer;
  checkCodeGeneration();
  if (isInitialAboutBlank) {
    current.mode = "quirks";
    const html = append(newElement(current, "html"), current);
    append(newElement(current, "head"), html);
    append(newElement(current, "body"), html);
    alreadyLoaded(current);
  } else {
    current.readyState = "loading";
  }
  return current;
}

// Parses a document as its resource comes: `feed(bytes)` as often as there is something, then `end()`.
// `charset` is what its Content-Type says.
export function parseInto(document, charset = null) {
  const parser = new DocumentParser(document);
  const text = documentText(document, charset);
  return {
    feed(bytes) { parser.feed(text.decode(bytes)); },
    end() {
      parser.feed(text.end());
      parser.end();
    },
  };
}

// What a resource of that type becomes. Its parsing is a task.
export function openDocument({ contentType, referrer }, bytes) {
  const kind = kindOf(contentType, bytes);
  const document = createDocument({ contentType: kind === "html" ? contentType || "text/html" : contentType || "text/plain", referrer });
  const release = delayLoad(document);
  queueTask("networking", () => {
    if (document !== current) return;
    if (kind === "html") {
      const parsing = parseInto(document, charsetOf(contentType));
      release();
      parsing.feed(bytes);
      parsing.end();
    } else {
      document.mode = "no-quirks";
      const text = kind === "image" || kind === "media" ? "" : op_decode(bytes, charsetOf(contentType) ?? "utf-8");
      fillViewer(document, kind, home.urlOf(document), text);
      release();
      theEnd(document);
    }
  });
}

// Abort the document's parser.
export const abortParsing = () => current?.parser?.abort();

export const documentObject = () => wrap(windowDocument());

// Calls a function once the window's document has loaded.
export const whenLoaded = (then) => documentLoaded(windowDocument(), then);

// Get the parent, and activation behaviour, of the targets that are nodes.
setTreeOfTargets({
  parentOf(target, event) {
    const record = recordIfNode(target);
    if (record === null) return null;
    if (record.type === DOCUMENT) return record.isShown && event.type !== "load" ? record.home.global : null;
    return wrap(record.parent);
  },
  listenersOf: (target) => recordIfNode(target)?.document.home.listenersOf(target),
  isActivationEvent: (event) => event instanceof load("dom/ui_events.js").MouseEvent,
  isRoot(target) {
    const record = recordIfNode(target);
    if (record === null || record.type === DOCUMENT) return record !== null;
    const element = firstElementChild(record.document);
    return record === element || (element !== null && isHtml(record, "body") && record.parent === element);
  },
  activationOf: (target) => activationOf(recordIfNode(target)),
});

// Named access on the Window object.
setNamedElement((name) => {
  if (current === null) return undefined;
  const found = elementsNamed(current, name).filter((element) => element.localName !== "iframe" && element.localName !== "frame" || attribute(element, "id") === name);
  if (found.length < 2) return wrap(found[0] ?? null) ?? undefined;
  return load("dom/collections.js").liveCollection(current, () => elementsNamed(current, name));
});
setNames({
  added(element, name) {
    addName(element, name);
    if (element.document === current) nameChanged(name);
  },
  removed(element, name) {
    removeName(element, name);
    if (element.document === current) nameChanged(name);
  },
});

// The base element: the document base URL is that of the first one with a URL.
function updateBaseUrl({ document }) {
  const base = firstElement(document, (element) => isHtml(element, "base") && attribute(element, "href") !== null);
  const fallback = home.urlOf(document);
  const url = base === null ? null : home.resolveAgainst(attribute(base, "href"), document.isShown ? fallback : document.url);
  if (document === current) op_set_base_url(url);
  else document.baseUrl = url ?? undefined;
}
recordSteps.set("base", { connected: updateBaseUrl, disconnected: updateBaseUrl, changed: (element, name) => { if (name === "href") updateBaseUrl(element); } });

for (const name of ["iframe", "frame"]) elementSteps.set(name, iframeSteps);
setDelayLoad(delayLoad);

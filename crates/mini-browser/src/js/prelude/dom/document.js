// Document and XMLDocument. (DOM, "Interface Document"; HTML, "The Document object".)

import { op_has_focus, op_navigable, op_url_parse } from "ops";
import { defineEventHandler } from "../events.js";
import { location } from "../location.js";
import { windowProxy } from "../realms.js";
import { DOMString, HOST, USVString, errorOf, idl, load, required } from "../webidl.js";
import { checkAttributeName, checkElementName, extractName, lowercase } from "./attributes.js";
import { createCDATASection } from "./character_data.js";
import { byClassName, byTagName, byTagNameNS, liveCollection, liveList } from "./collections.js";
import { readCookies, writeCookie } from "./cookies.js";
import { GLOBAL_HANDLERS } from "./event_handlers.js";
import { home } from "./home.js";
import { includeNonElementParentNode, includeParentNode } from "./mixins.js";
import { adopt, append, clone, insert, replace, stringReplaceAll } from "./mutation.js";
import {
  DOCUMENT, DOCUMENT_FRAGMENT, DOCUMENT_TYPE, HTML, PROCESSING_INSTRUCTION, SVG, attribute, childTextContent, childrenOf, elementsBelow, firstElement,
  firstElementChild, isHtml, newAttribute, newCharacterData, newComment, newDocument, newElement, newFragment, newText, wrap,
} from "./nodes.js";
import { Node, nodeArgument, recordOf } from "./node.js";
import { closeDocument, openDocument, writeDocument } from "./dynamic_markup.js";

// What is the same object each time, by record, by name.
const kept = new WeakMap();

function same(record, name, make) {
  let own = kept.get(record);
  if (own === undefined) kept.set(record, own = {});
  return (own[name] ??= make());
}

const nullable = (value) => (value === null || value === undefined ? null : DOMString(value));

const collection = (object, name, test) => {
  const record = recordOf(object);
  return same(record, name, () => liveCollection(record, () => elementsBelow(record, test)));
};

export class Document extends Node {
  constructor(...args) {
    if (args[0] === HOST) super(...args);
    else super(HOST, newDocument({ isHtml: false, contentType: "application/xml", url: "about:blank", home }));
    Object.defineProperty(this, "location", LOCATION);
  }
  get implementation() {
    const record = recordOf(this);
    return same(record, "implementation", () => new (load("dom/document_parts.js").DOMImplementation)(HOST, record));
  }
  get URL() { return home.urlOf(recordOf(this)); }
  get documentURI() { return home.urlOf(recordOf(this)); }
  get compatMode() { return recordOf(this).mode === "quirks" ? "BackCompat" : "CSS1Compat"; }
  get characterSet() { return recordOf(this).encoding; }
  get charset() { return recordOf(this).encoding; }
  get inputEncoding() { return recordOf(this).encoding; }
  get contentType() { return recordOf(this).contentType; }
  get doctype() { return wrap(childrenOf(recordOf(this)).find((child) => child.type === DOCUMENT_TYPE) ?? null); }
  get documentElement() { return wrap(firstElementChild(recordOf(this))); }
  getElementsByTagName(name) {
    required(arguments.length, 1, "getElementsByTagName");
    name = DOMString(name);
    return same(recordOf(this), `tag ${name}`, () => byTagName(recordOf(this), name));
  }
  getElementsByTagNameNS(namespace, localName) {
    required(arguments.length, 2, "getElementsByTagNameNS");
    return byTagNameNS(recordOf(this), nullable(namespace), DOMString(localName));
  }
  getElementsByClassName(names) {
    required(arguments.length, 1, "getElementsByClassName");
    return byClassName(recordOf(this), DOMString(names));
  }
  getElementsByName(name) {
    required(arguments.length, 1, "getElementsByName");
    const record = recordOf(this);
    name = DOMString(name);
    return liveList(record, () => elementsBelow(record, (element) => element.namespace === HTML && attribute(element, "name") === name));
  }
  createElement(localName) {
    required(arguments.length, 1, "createElement");
    const record = recordOf(this);
    localName = DOMString(localName);
    checkElementName(localName);
    if (record.isHtml) localName = lowercase(localName);
    return wrap(newElement(record, localName, record.isHtml || record.contentType === "application/xhtml+xml" ? HTML : null));
  }
  createElementNS(namespace, name) {
    required(arguments.length, 2, "createElementNS");
    const record = recordOf(this);
    const extracted = extractName(nullable(namespace), DOMString(name), true);
    return wrap(newElement(record, extracted.localName, extracted.namespace, extracted.prefix));
  }
  createDocumentFragment() { return wrap(newFragment(recordOf(this))); }
  createTextNode(data) {
    required(arguments.length, 1, "createTextNode");
    return wrap(newText(recordOf(this), DOMString(data)));
  }
  createCDATASection(data) {
    required(arguments.length, 1, "createCDATASection");
    return wrap(createCDATASection(recordOf(this), DOMString(data)));
  }
  createComment(data) {
    required(arguments.length, 1, "createComment");
    return wrap(newComment(recordOf(this), DOMString(data)));
  }
  createProcessingInstruction(target, data) {
    required(arguments.length, 2, "createProcessingInstruction");
    target = DOMString(target);
    data = DOMString(data);
    checkElementName(target);
    if (data.includes("?>")) throw errorOf("InvalidCharacterError", "The data contains '?>'");
    return wrap(newCharacterData(PROCESSING_INSTRUCTION, recordOf(this), data, target));
  }
  createAttribute(name) {
    required(arguments.length, 1, "createAttribute");
    const record = recordOf(this);
    name = DOMString(name);
    checkAttributeName(name);
    return wrap(newAttribute(record, null, null, record.isHtml ? lowercase(name) : name, ""));
  }
  createAttributeNS(namespace, name) {
    required(arguments.length, 2, "createAttributeNS");
    const extracted = extractName(nullable(namespace), DOMString(name), false);
    return wrap(newAttribute(recordOf(this), extracted.namespace, extracted.prefix, extracted.localName, ""));
  }
  createEvent(name) {
    required(arguments.length, 1, "createEvent");
    recordOf(this);
    return load("dom/ui_events.js").createEvent(DOMString(name));
  }
  importNode(node, deep = false) {
    required(arguments.length, 1, "importNode");
    const record = nodeArgument(node, "importNode");
    if (record.type === DOCUMENT) throw errorOf("NotSupportedError", "A document cannot be imported");
    return wrap(clone(record, recordOf(this), !!deep));
  }
  adoptNode(node) {
    required(arguments.length, 1, "adoptNode");
    const record = nodeArgument(node, "adoptNode");
    if (record.type === DOCUMENT) throw errorOf("NotSupportedError", "A document cannot be adopted");
    if (record.type === DOCUMENT_FRAGMENT && record.host !== null) return node;
    adopt(record, recordOf(this));
    return node;
  }

  // HTML.
  get domain() { return op_url_parse(home.urlOf(recordOf(this)), null)?.hostname ?? ""; }
  set domain(value) {
    const own = op_url_parse(home.urlOf(recordOf(this)), null)?.hostname ?? "";
    const wanted = op_url_parse(`http://${USVString(value)}`, null)?.hostname ?? "";
    // Is a registrable domain suffix of or is equal to.
    if (!recordOf(this).isShown || wanted === "" || (own !== wanted && !own.endsWith(`.${wanted}`))) {
      throw errorOf("SecurityError", `'${value}' is not the document's domain, nor one that it is in`);
    }
    // Step 7: agent clusters are origin-keyed, so that nothing comes of it.
  }
  get referrer() { return recordOf(this).referrer ?? ""; }
  get cookie() { return readCookies(recordOf(this)); }
  set cookie(value) { writeCookie(recordOf(this), DOMString(value)); }
  get lastModified() { return recordOf(this).lastModified ?? lastModified(new Date()); }
  get readyState() { return recordOf(this).readyState; }
  get title() {
    const element = titleElement(recordOf(this));
    return element === null ? "" : childTextContent(element).trim().replace(/[\t\n\f\r ]+/g, " ");
  }
  set title(value) { setTitle(recordOf(this), DOMString(value)); }
  get dir() { return wrap(firstElementChild(recordOf(this)))?.dir ?? ""; }
  set dir(value) {
    const element = wrap(firstElementChild(recordOf(this)));
    if (element !== null) element.dir = value;
  }
  get body() { return wrap(bodyOf(recordOf(this))); }
  set body(value) {
    const record = recordOf(this);
    const body = value === null || value === undefined ? null : nodeArgument(value, "body");
    if (body === null || !(isHtml(body, "body") || isHtml(body, "frameset"))) throw errorOf("HierarchyRequestError", "The new body is neither body nor frameset");
    const old = bodyOf(record);
    if (old === body) return;
    const html = firstElementChild(record);
    if (old !== null) replace(old, body, old.parent);
    else if (html === null) throw errorOf("HierarchyRequestError", "The document has no document element");
    else append(body, html);
  }
  get head() { return wrap(headOf(recordOf(this))); }
  get images() { return collection(this, "images", (element) => isHtml(element, "img")); }
  get embeds() { return collection(this, "embeds", (element) => isHtml(element, "embed")); }
  get plugins() { return this.embeds; }
  get links() { return collection(this, "links", (element) => (isHtml(element, "a") || isHtml(element, "area")) && attribute(element, "href") !== null); }
  get forms() { return collection(this, "forms", (element) => isHtml(element, "form")); }
  get scripts() { return collection(this, "scripts", (element) => isHtml(element, "script")); }
  get anchors() { return collection(this, "anchors", (element) => isHtml(element, "a") && attribute(element, "name") !== null); }
  get currentScript() { return wrap(recordOf(this).currentScript ?? null); }
  get styleSheets() { return load("dom/computed_style.js").sheetsOf(recordOf(this)); }
  open(...args) {
    const record = recordOf(this);
    if (args.length >= 3) return windowProxy.open(...args);
    openDocument(record);
    return this;
  }
  close() { closeDocument(recordOf(this)); }
  write(...text) { writeDocument(recordOf(this), text.map(DOMString).join("")); }
  writeln(...text) { writeDocument(recordOf(this), `${text.map(DOMString).join("")}\n`); }
  get defaultView() { return isFullyActive(recordOf(this)) ? windowProxy : null; }
  hasFocus() {
    const { isShown } = recordOf(this);
    const id = op_navigable();
    return isShown && id !== undefined && id !== null && op_has_focus(id);
  }
  get activeElement() {
    const record = recordOf(this);
    return record.isShown ? wrap(record.focused ?? bodyOf(record)) ?? this.documentElement : null;
  }
  get hidden() { return !recordOf(this).isShown; }
  get visibilityState() { return recordOf(this).isShown ? "visible" : "hidden"; }
  get fonts() {
    const record = recordOf(this);
    return same(record, "fonts", () => load("dom/fonts.js").newFontFaceSet());
  }
  get designMode() { recordOf(this); return "off"; }
  getSelection() { recordOf(this); return null; }
}
includeNonElementParentNode(Document);
includeParentNode(Document);
for (const type of [...GLOBAL_HANDLERS, "readystatechange", "visibilitychange"]) defineEventHandler(Document, type);
idl(Document);

export class XMLDocument extends Document {
  constructor(...args) {
    if (args[0] !== HOST) throw new TypeError("Illegal constructor");
    super(...args);
  }
}
idl(XMLDocument);

// Whether it is the active document of its window's navigable. (One of a frame that is gone is not.)
const isFullyActive = (document) => document.isShown && typeof op_navigable() === "number";

// The location attribute is [LegacyUnforgeable].
const LOCATION = {
  ...Object.getOwnPropertyDescriptor({
    get location() { return isFullyActive(recordOf(this)) ? location : null; },
    set location(url) { if (isFullyActive(recordOf(this))) location.href = url; },
  }, "location"),
  enumerable: true,
  configurable: false,
};

export function bodyOf(document) {
  const html = firstElementChild(document);
  if (html === null || !isHtml(html, "html")) return null;
  return childrenOf(html).find((child) => isHtml(child, "body") || isHtml(child, "frameset")) ?? null;
}

export function headOf(document) {
  const html = firstElementChild(document);
  if (html === null || !isHtml(html, "html")) return null;
  return childrenOf(html).find((child) => isHtml(child, "head")) ?? null;
}

// The title element of a document; of an SVG document, the title of its document element.
function titleElement(document) {
  const root = firstElementChild(document);
  if (root !== null && root.namespace === SVG && root.localName === "svg") {
    return childrenOf(root).find((child) => child.namespace === SVG && child.localName === "title") ?? null;
  }
  return firstElement(document, (element) => isHtml(element, "title"));
}

function setTitle(document, value) {
  let element = titleElement(document);
  if (element === null) {
    const root = firstElementChild(document);
    if (root !== null && root.namespace === SVG && root.localName === "svg") {
      element = newElement(document, "title", SVG);
      insert(element, root, root.first);
    } else {
      const head = headOf(document);
      if (head === null) return;
      element = append(newElement(document, "title"), head);
    }
  }
  stringReplaceAll(value, element);
}

// MM/DD/YYYY hh:mm:ss
function lastModified(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getMonth() + 1)}/${two(date.getDate())}/${date.getFullYear()} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}


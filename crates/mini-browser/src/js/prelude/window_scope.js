// Window, as far as a page without a document tree has one. (HTML, "Window".)

import { op_document_text, op_set_hook, op_url_parse } from "ops";
import { ServiceWorkerContainer, container } from "./container.js";
import { Event, EventTarget, defineEventHandler, fire, fireEvent } from "./events.js";
import { facts, installGlobalScope } from "./global_scope.js";
import { ServiceWorker, ServiceWorkerRegistration } from "./registration.js";
import "./test_report.js";
import { HOST, DOMString, errorOf, idl, illegal, install } from "./webidl.js";

const parts = op_url_parse(facts.href, null);

class Location {
  constructor(token) { illegal(token); }
  get href() { return parts.href; }
  set href(_) { this.assign(); }
  get origin() { return parts.origin; }
  get protocol() { return parts.protocol; }
  get host() { return parts.host; }
  get hostname() { return parts.hostname; }
  get port() { return parts.port; }
  get pathname() { return parts.pathname; }
  get search() { return parts.search; }
  get hash() { return parts.hash; }
  assign() { throw errorOf("NotSupportedError", "a page cannot navigate itself yet"); }
  replace() { this.assign(); }
  reload() { this.assign(); }
  toString() { return parts.href; }
}
idl(Location);

class Navigator {
  constructor(token) { illegal(token); }
  get userAgent() { return "mini-browser"; }
  get language() { return "en"; }
  get languages() { return languages; }
  get onLine() { return true; }
  get hardwareConcurrency() { return 1; }
}
idl(Navigator);
const languages = Object.freeze(["en"]);
if (facts.secure) {
  Object.defineProperty(Navigator.prototype, "serviceWorker", {
    get() { return container; }, enumerable: true, configurable: true,
  });
}

// The body of a document without a tree: its text.
class HTMLBodyElement extends EventTarget {
  constructor(token) { illegal(token); super(); }
  get textContent() { return text.body; }
}
idl(HTMLBodyElement);

const text = op_document_text();
let readyState = "loading";

class Document extends EventTarget {
  #title;
  #body;
  constructor(token) {
    illegal(token);
    super();
    this.title = text.title;
    this.#body = text.body === null ? null : new HTMLBodyElement(HOST);
  }
  get body() { return this.#body; }
  get URL() { return parts.href; }
  get documentURI() { return parts.href; }
  get baseURI() { return parts.href; }
  get location() { return location; }
  get readyState() { return readyState; }
  get characterSet() { return "UTF-8"; }
  get title() { return this.#title; }
  set title(value) { this.#title = DOMString(value).trim().replace(/[\t\n\f\r ]+/g, " "); }
  get defaultView() { return globalThis; }
}
idl(Document);

class Window extends EventTarget {
  constructor(token) { illegal(token); super(); }
  get window() { return globalThis; }
  get frames() { return globalThis; }
  get parent() { return globalThis; }
  get top() { return globalThis; }
  get length() { return 0; }
  get closed() { return false; }
  get document() { return document; }
  get location() { return location; }
  get navigator() { return navigator; }
}
idl(Window);
for (const type of ["error", "load", "message", "messageerror", "offline", "online", "pagehide", "pageshow", "rejectionhandled", "unhandledrejection", "unload"]) {
  defineEventHandler(Window, type);
}

const location = new Location(HOST);
const navigator = new Navigator(HOST);
const document = new Document(HOST);

installGlobalScope(Window);
install({ Window, Document, HTMLBodyElement, Location, Navigator });

// HTML, "the end": all scripts of the document have run.
op_set_hook("loaded", () => {
  readyState = "interactive";
  fireEvent(document, "readystatechange");
  fire(new Event("DOMContentLoaded", { bubbles: true }), document);
  readyState = "complete";
  fireEvent(document, "readystatechange");
  fireEvent(globalThis, "load");
});

if (facts.secure) install({ ServiceWorkerContainer, ServiceWorker, ServiceWorkerRegistration });

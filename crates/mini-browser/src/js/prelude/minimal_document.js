// A document without a tree: its title, the text of its body, and its scripts.

import { op_document_text, op_document_url, op_loaded, op_read_document, op_run_classic } from "ops";
import { Event, EventTarget, defineEventHandler, fire, fireEvent } from "./events.js";
import { location } from "./location.js";
import { global, windowProxy } from "./realms.js";
import { HOST, DOMString, idl, illegal } from "./webidl.js";

export class HTMLBodyElement extends EventTarget {
  #text;
  constructor(token, text) { illegal(token); super(); this.#text = text; }
  get textContent() { return this.#text; }
}
idl(HTMLBodyElement);

let setReadyState;

export class Document extends EventTarget {
  #title;
  #body;
  #readyState = "loading";
  #referrer;
  constructor(token, { title, body, referrer = "" }) {
    illegal(token);
    super();
    this.title = title;
    this.#body = body === null ? null : new HTMLBodyElement(HOST, body);
    this.#referrer = referrer;
  }
  get body() { return this.#body; }
  get URL() { return op_document_url(); }
  get documentURI() { return op_document_url(); }
  get baseURI() { return op_document_url(); }
  get location() { return location; }
  get readyState() { return this.#readyState; }
  get characterSet() { return "UTF-8"; }
  get referrer() { return this.#referrer; }
  get title() { return this.#title; }
  set title(value) { this.#title = DOMString(value).trim().replace(/[\t\n\f\r ]+/g, " "); }
  get defaultView() { return windowProxy; }
  static {
    setReadyState = (document, state) => { document.#readyState = state; };
  }
}
idl(Document);
defineEventHandler(Document, "readystatechange");

export let document = new Document(HOST, op_document_text());

// HTML, "the end": all scripts of the document have run.
export function loaded() {
  setReadyState(document, "interactive");
  fireEvent(document, "readystatechange");
  fire(new Event("DOMContentLoaded", { bubbles: true }), document);
  setReadyState(document, "complete");
  fireEvent(document, "readystatechange");
  fireEvent(global, "load");
  op_loaded();
}

// Makes the document of a frame or popup from what was fetched.
export function openDocument({ html, referrer, isInitialAboutBlank }) {
  const { title, body, scripts } = op_read_document(html);
  document = new Document(HOST, { title, body, referrer });
  if (isInitialAboutBlank) {
    setReadyState(document, "complete");
    return;
  }
  for (const script of scripts) op_run_classic(script, op_document_url());
  loaded();
}

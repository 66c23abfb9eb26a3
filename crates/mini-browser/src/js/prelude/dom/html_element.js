// HTMLElement and HTMLUnknownElement. (HTML, "Elements in the DOM".)

import { defineEventHandler, fire } from "../events.js";
import { DOMString, idl, load } from "../webidl.js";
import { lowercase, removeNamed, setValue } from "./attributes.js";
import { datasetOf } from "./dataset.js";
import { Element } from "./element.js";
import { GLOBAL_HANDLERS } from "./event_handlers.js";
import { blur, focus } from "./focus.js";
import { insert, remove, replaceAll } from "./mutation.js";
import { attribute, isHtml, isConnected, newElement, newFragment, newText } from "./nodes.js";
import { recordOf } from "./node.js";
import { keywords, reflect } from "./reflect.js";
import { declarationOf } from "./style_declaration.js";

export class HTMLElement extends Element {
  #dataset = null;
  #style = null;
  #isClicking = false;
  get dataset() { return (this.#dataset ??= datasetOf(recordOf(this))); }
  get style() { return (this.#style ??= declarationOf(recordOf(this))); }
  set style(value) { this.style.cssText = value; }
  get hidden() { return attribute(recordOf(this), "hidden") !== null; }
  set hidden(value) {
    const record = recordOf(this);
    if (value) setValue(record, "hidden", "");
    else removeNamed(record, "hidden");
  }
  get draggable() {
    const value = lowercase(attribute(recordOf(this), "draggable") ?? "");
    return value === "true" || (value !== "false" && (isHtml(recordOf(this), "img") || (isHtml(recordOf(this), "a") && attribute(recordOf(this), "href") !== null)));
  }
  set draggable(value) { setValue(recordOf(this), "draggable", String(!!value)); }
  get tabIndex() {
    const record = recordOf(this);
    const match = /^[\t\n\f\r ]*([+-]?[0-9]+)/.exec(attribute(record, "tabindex") ?? "");
    if (match !== null) return Number(match[1]) | 0;
    return ["a", "area", "button", "frame", "iframe", "input", "object", "select", "textarea"].includes(record.localName) ? 0 : -1;
  }
  set tabIndex(value) { setValue(recordOf(this), "tabindex", String(Number(value) | 0)); }
  get innerText() { return load("dom/inner_text.js").innerText(recordOf(this)); }
  set innerText(value) {
    const record = recordOf(this);
    replaceAll(textFragment(record, value === null ? "" : DOMString(value)), record);
  }
  get outerText() { return load("dom/inner_text.js").innerText(recordOf(this)); }
  set outerText(value) {
    const record = recordOf(this);
    const { parent } = record;
    if (parent === null) return;
    insert(textFragment(record, value === null ? "" : DOMString(value)), parent, record);
    remove(record);
  }
  click() {
    const record = recordOf(this);
    if (isFormControl(record) && attribute(record, "disabled") !== null) return;
    if (this.#isClicking) return;
    this.#isClicking = true;
    try {
      const { syntheticClick } = load("dom/ui_events.js");
      fire(syntheticClick(record.document.home.global), this);
    } finally {
      this.#isClicking = false;
    }
  }
  focus() {
    const record = recordOf(this);
    if (isConnected(record)) focus(record);
  }
  blur() { blur(recordOf(this)); }
  get isContentEditable() { return lowercase(attribute(recordOf(this), "contenteditable") ?? "false") !== "false"; }
  get offsetParent() { recordOf(this); return null; }
  get offsetTop() { recordOf(this); return 0; }
  get offsetLeft() { recordOf(this); return 0; }
  get offsetWidth() { recordOf(this); return 0; }
  get offsetHeight() { recordOf(this); return 0; }
}
reflect(HTMLElement, {
  title: "string", lang: "string", accessKey: "string", nonce: "string", autofocus: "boolean", inert: "boolean",
  dir: ["enumerated", "dir", { values: keywords("ltr", "rtl", "auto") }],
});
for (const type of GLOBAL_HANDLERS) defineEventHandler(HTMLElement, type);
idl(HTMLElement);

export class HTMLUnknownElement extends HTMLElement {}
idl(HTMLUnknownElement);

const isFormControl = (record) => ["button", "input", "select", "textarea", "fieldset"].includes(record.localName);

// The rendered text fragment for a string.
function textFragment({ document }, string) {
  const fragment = newFragment(document);
  string.split(/\r\n?|\n/).forEach((line, index) => {
    if (index > 0) insert(newElement(document, "br"), fragment, null);
    if (line !== "") insert(newText(document, line), fragment, null);
  });
  return fragment;
}

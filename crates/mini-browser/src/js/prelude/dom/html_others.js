// Elements that have little of their own. (HTML.)

import { idl } from "../webidl.js";
import { removeNamed, setValue } from "./attributes.js";
import { Element } from "./element.js";
import { HTMLElement } from "./html_element.js";
import { attribute } from "./nodes.js";
import { recordOf } from "./node.js";
import { reflect } from "./reflect.js";

const ALIGNED = { align: "string" };
const COMPACT = { compact: "boolean" };

// An interface with reflecting attributes only.
function plain(name, attributes = {}, Base = HTMLElement) {
  const Class = { [name]: class extends Base {} }[name];
  reflect(Class, attributes);
  return idl(Class, { name });
}

export const HTMLDivElement = plain("HTMLDivElement", ALIGNED);
export const HTMLSpanElement = plain("HTMLSpanElement");
export const HTMLParagraphElement = plain("HTMLParagraphElement", ALIGNED);
export const HTMLHeadingElement = plain("HTMLHeadingElement", ALIGNED);
export const HTMLBRElement = plain("HTMLBRElement", { clear: "string" });
export const HTMLHRElement = plain("HTMLHRElement", { align: "string", color: "string", noShade: "boolean", size: "string", width: "string" });
export const HTMLPreElement = plain("HTMLPreElement", { width: "long" });
export const HTMLQuoteElement = plain("HTMLQuoteElement", { cite: "url" });
export const HTMLOListElement = plain("HTMLOListElement", { reversed: "boolean", start: ["long", "start", 1], type: "string", ...COMPACT });
export const HTMLUListElement = plain("HTMLUListElement", { type: "string", ...COMPACT });
export const HTMLMenuElement = plain("HTMLMenuElement", COMPACT);
export const HTMLDirectoryElement = plain("HTMLDirectoryElement", COMPACT);
export const HTMLLIElement = plain("HTMLLIElement", { value: "long", type: "string" });
export const HTMLDListElement = plain("HTMLDListElement", COMPACT);
export const HTMLDataElement = plain("HTMLDataElement", { value: "string" });
export const HTMLTimeElement = plain("HTMLTimeElement", { dateTime: "string" });
export const HTMLModElement = plain("HTMLModElement", { cite: "url", dateTime: "string" });
export const HTMLFontElement = plain("HTMLFontElement", { color: "string", face: "string", size: "string" });
export const HTMLMarqueeElement = plain("HTMLMarqueeElement", { behavior: "string", direction: "string", height: "string", width: "string" });
export const HTMLSlotElement = plain("HTMLSlotElement", { name: "string" });
export const HTMLDetailsElement = plain("HTMLDetailsElement", { name: "string", open: "boolean" });

export class HTMLDialogElement extends HTMLElement {
  get returnValue() { return recordOf(this).own?.returnValue ?? ""; }
  set returnValue(value) { (recordOf(this).own ??= {}).returnValue = String(value); }
  show() { setValue(recordOf(this), "open", ""); }
  showModal() { setValue(recordOf(this), "open", ""); }
  close(value = undefined) {
    if (value !== undefined) this.returnValue = value;
    removeNamed(recordOf(this), "open");
  }
}
reflect(HTMLDialogElement, { open: "boolean" });
idl(HTMLDialogElement);

const number = (element, name, fallback) => {
  const value = Number.parseFloat(attribute(element, name) ?? "");
  return Number.isFinite(value) ? value : fallback;
};

export class HTMLProgressElement extends HTMLElement {
  get value() { return Math.min(Math.max(number(recordOf(this), "value", 0), 0), this.max); }
  set value(value) { setValue(recordOf(this), "value", String(Number(value))); }
  get max() { return Math.max(number(recordOf(this), "max", 1), 0) || 1; }
  set max(value) { setValue(recordOf(this), "max", String(Number(value))); }
  get position() { return attribute(recordOf(this), "value") === null ? -1 : this.value / this.max; }
}
idl(HTMLProgressElement);

export class HTMLMeterElement extends HTMLElement {
  get value() { return Math.min(Math.max(number(recordOf(this), "value", 0), this.min), this.max); }
  set value(value) { setValue(recordOf(this), "value", String(Number(value))); }
  get min() { return number(recordOf(this), "min", 0); }
  set min(value) { setValue(recordOf(this), "min", String(Number(value))); }
  get max() { return Math.max(number(recordOf(this), "max", 1), this.min); }
  set max(value) { setValue(recordOf(this), "max", String(Number(value))); }
}
idl(HTMLMeterElement);

// SVG, as far as a document has its elements.
export const SVGElement = plain("SVGElement", {}, Element);
export const SVGSVGElement = plain("SVGSVGElement", {}, SVGElement);
export const SVGScriptElement = plain("SVGScriptElement", {}, SVGElement);

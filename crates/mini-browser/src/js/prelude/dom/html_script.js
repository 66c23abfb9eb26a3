// HTMLScriptElement. (HTML, "The script element".)

import { DOMString, idl, required } from "../webidl.js";
import { removeNamed, setValue } from "./attributes.js";
import { HTMLElement } from "./html_element.js";
import { stringReplaceAll } from "./mutation.js";
import { attribute, childTextContent, ownOf } from "./nodes.js";
import { recordOf } from "./node.js";
import { CROSS_ORIGIN, REFERRER_POLICY, keywords, reflect } from "./reflect.js";

export class HTMLScriptElement extends HTMLElement {
  get async() {
    const record = recordOf(this);
    return record.own?.forceAsync !== false || attribute(record, "async") !== null;
  }
  set async(value) {
    const record = recordOf(this);
    ownOf(record).forceAsync = false;
    if (value) setValue(record, "async", "");
    else removeNamed(record, "async");
  }
  get text() { return childTextContent(recordOf(this)); }
  set text(value) { stringReplaceAll(DOMString(value), recordOf(this)); }
  static supports(type) {
    required(arguments.length, 1, "supports");
    return ["classic", "module", "importmap"].includes(DOMString(type));
  }
}
reflect(HTMLScriptElement, {
  src: "url", type: "string", noModule: "boolean", defer: "boolean", crossOrigin: CROSS_ORIGIN, integrity: "string", referrerPolicy: REFERRER_POLICY,
  charset: "string", event: "string", htmlFor: ["string", "for"], fetchPriority: ["enumerated", "fetchpriority", { values: keywords("high", "low", "auto"), missing: "auto" }],
});
idl(HTMLScriptElement);

// What XMLHttpRequest and its upload have in common. (XMLHttpRequest, "Interface XMLHttpRequestEventTarget".)

import { EventTarget, defineEventHandler } from "./events.js";
import { HOST, idl, illegal } from "./webidl.js";

export class XMLHttpRequestEventTarget extends EventTarget {
  constructor(token) {
    illegal(token);
    super();
  }
}
idl(XMLHttpRequestEventTarget);
Object.defineProperty(XMLHttpRequestEventTarget, "length", { value: 0, configurable: true });
for (const type of ["loadstart", "progress", "abort", "error", "load", "timeout", "loadend"]) defineEventHandler(XMLHttpRequestEventTarget, type);

export class XMLHttpRequestUpload extends XMLHttpRequestEventTarget {
  constructor(token) { super(token); }
}
idl(XMLHttpRequestUpload);
Object.defineProperty(XMLHttpRequestUpload, "length", { value: 0, configurable: true });

export const newUpload = () => new XMLHttpRequestUpload(HOST);

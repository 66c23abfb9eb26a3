// HTMLAnchorElement and HTMLAreaElement. (HTML, "Links".)

import { op_url_parse, op_url_set } from "ops";
import { DOMString, USVString, idl } from "../webidl.js";
import { setValue } from "./attributes.js";
import { HTMLElement } from "./html_element.js";
import { stringReplaceAll } from "./mutation.js";
import { attribute, textContent } from "./nodes.js";
import { recordOf } from "./node.js";
import { REFERRER_POLICY, reflect, resolve } from "./reflect.js";

// The element's url; null if it has none.
function urlOf(element) {
  const href = attribute(element, "href");
  const resolved = href === null ? null : resolve(element, href);
  return resolved === null ? null : op_url_parse(resolved, null);
}

// HTMLHyperlinkElementUtils.
function includeHyperlink(Class) {
  const members = {
    get origin() { return urlOf(recordOf(this))?.origin ?? ""; },
    toString() { return this.href; },
  };
  Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(members));
  for (const part of ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
    const accessors = {
      get [part]() { return urlOf(recordOf(this))?.[part] ?? (part === "protocol" ? ":" : ""); },
      set [part](value) {
        const element = recordOf(this);
        const url = urlOf(element);
        if (url !== null) setValue(element, "href", op_url_set(url.href, part, USVString(value)).href);
      },
    };
    Object.defineProperty(Class.prototype, part, Object.getOwnPropertyDescriptor(accessors, part));
  }
  reflect(Class, {
    href: "url", target: "string", download: "string", ping: "string", rel: "string", relList: ["tokens", "rel", ["noreferrer", "noopener", "opener"]],
    referrerPolicy: REFERRER_POLICY,
  });
}

export class HTMLAnchorElement extends HTMLElement {
  get text() { return textContent(recordOf(this)); }
  set text(value) { stringReplaceAll(DOMString(value), recordOf(this)); }
}
includeHyperlink(HTMLAnchorElement);
reflect(HTMLAnchorElement, {
  hreflang: "string", type: "string", coords: "string", charset: "string", name: "string", rev: "string", shape: "string",
});
idl(HTMLAnchorElement);

export class HTMLAreaElement extends HTMLElement {}
includeHyperlink(HTMLAreaElement);
reflect(HTMLAreaElement, { alt: "string", coords: "string", shape: "string", noHref: "boolean" });
idl(HTMLAreaElement);


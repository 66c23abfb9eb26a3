// The elements of a document's frame and head. (HTML, "The document element", "Document metadata",
// "The body element".)

import { DOMString, idl } from "../webidl.js";
import { reflectWindowHandlers } from "./event_handlers.js";
import { HTMLElement } from "./html_element.js";
import { stringReplaceAll } from "./mutation.js";
import { attribute, childTextContent, wrap } from "./nodes.js";
import { recordOf } from "./node.js";
import { setValue } from "./attributes.js";
import { CROSS_ORIGIN, REFERRER_POLICY, keywords, reflect } from "./reflect.js";

export class HTMLHtmlElement extends HTMLElement {}
reflect(HTMLHtmlElement, { version: "string" });
idl(HTMLHtmlElement);

export class HTMLHeadElement extends HTMLElement {}
idl(HTMLHeadElement);

export class HTMLTitleElement extends HTMLElement {
  get text() { return childTextContent(recordOf(this)); }
  set text(value) { stringReplaceAll(DOMString(value), recordOf(this)); }
}
idl(HTMLTitleElement);

export class HTMLBaseElement extends HTMLElement {
  get href() {
    const record = recordOf(this);
    const href = attribute(record, "href");
    const { document } = record;
    if (href === null) return document.home.urlOf(document);
    return document.home.resolveAgainst(href, document.home.urlOf(document)) ?? href;
  }
  set href(value) { setValue(recordOf(this), "href", DOMString(value)); }
}
reflect(HTMLBaseElement, { target: "string" });
idl(HTMLBaseElement);

export class HTMLLinkElement extends HTMLElement {
  get sheet() { return recordOf(this).own?.sheet ?? null; }
  get disabled() { return attribute(recordOf(this), "disabled") !== null; }
  set disabled(value) { this.toggleAttribute("disabled", !!value); }
}
const RELATIONS = ["alternate", "dns-prefetch", "icon", "manifest", "modulepreload", "next", "preconnect", "prefetch", "preload", "search", "stylesheet"];
const DESTINATIONS = keywords("audio", "audioworklet", "document", "embed", "fetch", "font", "frame", "iframe", "image", "json", "manifest", "object",
  "paintworklet", "report", "script", "serviceworker", "sharedworker", "style", "track", "video", "webidentity", "worker", "xslt");
reflect(HTMLLinkElement, {
  href: "url", crossOrigin: CROSS_ORIGIN, rel: "string", as: ["enumerated", "as", { values: DESTINATIONS }], relList: ["tokens", "rel", RELATIONS],
  media: "string", integrity: "string", hreflang: "string", type: "string", sizes: ["tokens", "sizes"], imageSrcset: "string", imageSizes: "string",
  referrerPolicy: REFERRER_POLICY, charset: "string", rev: "string", target: "string",
  fetchPriority: ["enumerated", "fetchpriority", { values: keywords("high", "low", "auto"), missing: "auto" }],
});
idl(HTMLLinkElement);

export class HTMLMetaElement extends HTMLElement {}
reflect(HTMLMetaElement, { name: "string", httpEquiv: ["string", "http-equiv"], content: "string", media: "string", scheme: "string" });
idl(HTMLMetaElement);

export class HTMLStyleElement extends HTMLElement {
  get sheet() { return recordOf(this).own?.sheet ?? null; }
  get disabled() { recordOf(this); return false; }
  set disabled(value) { recordOf(this); void value; }
}
reflect(HTMLStyleElement, { media: "string", type: "string" });
idl(HTMLStyleElement);

export class HTMLBodyElement extends HTMLElement {}
reflectWindowHandlers(HTMLBodyElement);
reflect(HTMLBodyElement, { text: "string", link: "string", vLink: "string", aLink: "string", bgColor: "string", background: "string" });
idl(HTMLBodyElement);

export class HTMLTemplateElement extends HTMLElement {
  get content() { return wrap(recordOf(this).own.content); }
}
idl(HTMLTemplateElement);


// Embedded content. (HTML, "Embedded content".)

import { DOMString, idl, load, required } from "../webidl.js";
import { setValue } from "./attributes.js";
import { reflectWindowHandlers } from "./event_handlers.js";
import { HTMLElement } from "./html_element.js";
import { attribute } from "./nodes.js";
import { recordOf } from "./node.js";
import { CROSS_ORIGIN, REFERRER_POLICY, keywords, reflect } from "./reflect.js";

const LOADING = ["enumerated", "loading", { values: keywords("eager", "lazy"), missing: "eager" }];

// What has a content navigable.
function includeFrame(Class) {
  const members = {
    get contentWindow() { return load("iframe.js").contentWindow(this); },
    get contentDocument() { return load("iframe.js").contentDocument(this); },
    getSVGDocument() { return null; },
  };
  Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(members));
}

export class HTMLIFrameElement extends HTMLElement {}
includeFrame(HTMLIFrameElement);
reflect(HTMLIFrameElement, {
  src: "url", srcdoc: "string", name: "string", sandbox: ["tokens", "sandbox", ["allow-downloads", "allow-forms", "allow-modals", "allow-orientation-lock",
    "allow-pointer-lock", "allow-popups", "allow-popups-to-escape-sandbox", "allow-presentation", "allow-same-origin", "allow-scripts",
    "allow-storage-access-by-user-activation", "allow-top-navigation", "allow-top-navigation-by-user-activation",
    "allow-top-navigation-to-custom-protocols"]],
  allow: "string", allowFullscreen: "boolean", width: "string", height: "string", referrerPolicy: REFERRER_POLICY, loading: LOADING, align: "string",
  scrolling: "string", frameBorder: "string", longDesc: "url", marginHeight: "string", marginWidth: "string",
});
idl(HTMLIFrameElement);

export class HTMLFrameElement extends HTMLElement {}
includeFrame(HTMLFrameElement);
reflect(HTMLFrameElement, { name: "string", scrolling: "string", src: "url", frameBorder: "string", longDesc: "url", noResize: "boolean" });
idl(HTMLFrameElement);

export class HTMLFrameSetElement extends HTMLElement {}
reflectWindowHandlers(HTMLFrameSetElement);
reflect(HTMLFrameSetElement, { cols: "string", rows: "string" });
idl(HTMLFrameSetElement);

const images = () => load("dom/resource_images.js");

export class HTMLImageElement extends HTMLElement {
  get naturalWidth() { return images().imageOf(recordOf(this)).width; }
  get naturalHeight() { return images().imageOf(recordOf(this)).height; }
  get complete() { return images().isComplete(recordOf(this)); }
  get currentSrc() { return images().imageOf(recordOf(this)).url; }
  get width() { return dimension(recordOf(this), "width") ?? this.naturalWidth; }
  set width(value) { setValue(recordOf(this), "width", String(value >>> 0)); }
  get height() { return dimension(recordOf(this), "height") ?? this.naturalHeight; }
  set height(value) { setValue(recordOf(this), "height", String(value >>> 0)); }
  get x() { recordOf(this); return 0; }
  get y() { recordOf(this); return 0; }
  async decode() { return images().decode(recordOf(this)); }
}
reflect(HTMLImageElement, {
  alt: "string", src: "url", srcset: "string", sizes: "string", crossOrigin: CROSS_ORIGIN, useMap: "string", isMap: "boolean", referrerPolicy: REFERRER_POLICY,
  decoding: ["enumerated", "decoding", { values: keywords("sync", "async", "auto"), missing: "auto" }], loading: LOADING, name: "string", align: "string",
  border: "string", longDesc: "url", lowsrc: "url", hspace: "unsigned long", vspace: "unsigned long",
  fetchPriority: ["enumerated", "fetchpriority", { values: keywords("high", "low", "auto"), missing: "auto" }],
});
idl(HTMLImageElement);

function dimension(element, name) {
  const match = /^[\t\n\f\r ]*\+?([0-9]+)/.exec(attribute(element, name) ?? "");
  return match === null ? null : Number(match[1]);
}

export class HTMLEmbedElement extends HTMLElement { getSVGDocument() { recordOf(this); return null; } }
reflect(HTMLEmbedElement, { src: "url", type: "string", width: "string", height: "string", align: "string", name: "string" });
idl(HTMLEmbedElement);

export class HTMLObjectElement extends HTMLElement {
  get form() { return null; }
  get contentWindow() { return load("iframe.js").contentWindow(this); }
  get contentDocument() { return load("iframe.js").contentDocument(this); }
  getSVGDocument() { recordOf(this); return null; }
}
reflect(HTMLObjectElement, {
  data: "url", type: "string", name: "string", width: "string", height: "string", useMap: "string", align: "string", archive: "string", code: "string",
  declare: "boolean", standby: "string", codeBase: "url", codeType: "string", border: "string",
});
idl(HTMLObjectElement);

export class HTMLParamElement extends HTMLElement {}
reflect(HTMLParamElement, { name: "string", value: "string", type: "string", valueType: "string" });
idl(HTMLParamElement);

export class HTMLPictureElement extends HTMLElement {}
idl(HTMLPictureElement);

export class HTMLSourceElement extends HTMLElement {}
reflect(HTMLSourceElement, { src: "url", type: "string", srcset: "string", sizes: "string", media: "string", width: "unsigned long", height: "unsigned long" });
idl(HTMLSourceElement);

export class HTMLTrackElement extends HTMLElement {
  get readyState() { return recordOf(this).own?.readyState ?? 0; }
  get track() { return load("dom/text_tracks.js").trackOf(recordOf(this)); }
}
reflect(HTMLTrackElement, { kind: "string", src: "url", srclang: "string", label: "string", default: "boolean" });
idl(HTMLTrackElement, { constants: { NONE: 0, LOADING: 1, LOADED: 2, ERROR: 3 } });

export class HTMLMapElement extends HTMLElement {}
reflect(HTMLMapElement, { name: "string" });
idl(HTMLMapElement);

// Of a canvas, its pixels: see canvas.js.
export class HTMLCanvasElement extends HTMLElement {
  getContext(type) {
    required(arguments.length, 1, "getContext");
    const record = recordOf(this);
    return DOMString(type) === "2d" ? load("dom/canvas.js").contextOf(record, this) : null;
  }
}
reflect(HTMLCanvasElement, { width: ["unsigned long", "width", 300], height: ["unsigned long", "height", 150] });
idl(HTMLCanvasElement);

// FontFace and FontFaceSet. (CSS Font Loading.) A font that was fetched counts as loaded: none is used.

import { op_url_parse } from "ops";
import { EventTarget, defineEventHandler } from "../events.js";
import { DOMString, HOST, bytesOf, dictionary, errorOf, idl, illegal, required } from "../webidl.js";
import { fetchForElement } from "./element_fetch.js";
import { currentDocument } from "./home.js";

const DESCRIPTORS = { style: "normal", weight: "normal", stretch: "normal", unicodeRange: "U+0-10FFFF", variant: "normal", featureSettings: "normal", display: "auto" };

export class FontFace {
  #family;
  #urls;
  #status = "unloaded";
  #loaded;
  #settle;
  #descriptors = {};
  constructor(family, source, descriptors = undefined) {
    required(arguments.length, 2, "FontFace");
    this.#family = DOMString(family);
    const given = dictionary(descriptors, "The descriptors of FontFace");
    for (const name in DESCRIPTORS) this.#descriptors[name] = given[name] === undefined ? DESCRIPTORS[name] : DOMString(given[name]);
    this.#loaded = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    // Nobody has to look at it.
    this.#loaded.catch(() => {});
    if (bytesOf(source) !== null) {
      this.#status = "loaded";
      this.#settle.resolve(this);
      return;
    }
    this.#urls = [...DOMString(source).matchAll(/url\(\s*(?:"([^"]*)"|'([^']*)'|([^)"'\s]*))\s*\)/gi)].map(([, double, single, bare]) => double ?? single ?? bare);
    if (this.#urls.length === 0 && !/local\(/i.test(DOMString(source))) {
      this.#status = "error";
      this.#settle.reject(errorOf("SyntaxError", "The source is not one of a font"));
    }
  }
  get family() { return this.#family; }
  set family(value) { this.#family = DOMString(value); }
  get status() { return this.#status; }
  get loaded() { return this.#loaded; }
  load() {
    if (this.#status !== "unloaded") return this.#loaded;
    this.#status = "loading";
    this.#fetch().then(() => {
      this.#status = "loaded";
      this.#settle.resolve(this);
    }, () => {
      this.#status = "error";
      this.#settle.reject(errorOf("NetworkError", "The font cannot be fetched"));
    });
    return this.#loaded;
  }
  async #fetch() {
    const { home } = currentDocument();
    for (const url of this.#urls) {
      const resolved = op_url_parse(url.toWellFormed(), home.baseUrlOf(currentDocument()))?.href;
      if (resolved === undefined) continue;
      try {
        const response = await fetchForElement({ url: resolved, destination: "font", mode: "cors", crossOrigin: "anonymous" });
        await response.bytes();
        if (response.isOk) return;
      } catch {
        // The next source.
      }
    }
    throw new TypeError("no source can be fetched");
  }
  static {
    for (const name in DESCRIPTORS) {
      const accessors = {
        get [name]() { return this.#descriptors[name]; },
        set [name](value) { this.#descriptors[name] = DOMString(value); },
      };
      Object.defineProperty(this.prototype, name, Object.getOwnPropertyDescriptor(accessors, name));
    }
  }
}
idl(FontFace);

export class FontFaceSet extends EventTarget {
  #faces = new Set();
  constructor(...args) { illegal(args[0]); super(); }
  get size() { return this.#faces.size; }
  get status() { return [...this.#faces].some(({ status }) => status === "loading") ? "loading" : "loaded"; }
  get ready() { return Promise.all([...this.#faces].filter(({ status }) => status === "loading").map(({ loaded }) => loaded.catch(() => {}))).then(() => this); }
  add(face) {
    this.#faces.add(face);
    return this;
  }
  delete(face) { return this.#faces.delete(face); }
  clear() { this.#faces.clear(); }
  has(face) { return this.#faces.has(face); }
  check() { return this.status === "loaded"; }
  async load(font) {
    const wanted = [...this.#faces].filter(({ family }) => DOMString(font).includes(family.replace(/^["']|["']$/g, "")));
    await Promise.all(wanted.map((face) => face.load()));
    return wanted;
  }
  forEach(callback, thisArg = undefined) { this.#faces.forEach((face) => callback.call(thisArg, face, face, this)); }
  [Symbol.iterator]() { return this.#faces.values(); }
}
for (const type of ["loading", "loadingdone", "loadingerror"]) defineEventHandler(FontFaceSet, type);
idl(FontFaceSet);

export const newFontFaceSet = () => new FontFaceSet(HOST);

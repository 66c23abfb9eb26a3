// The response of an XMLHttpRequest, as far as it has come. (XMLHttpRequest, "Response".)

import { headerText, extractLength, responseOf, textOf, xmlOf } from "./xhr_response.js";
import { combined } from "./headers.js";

// What a response is before there is one, and after it failed.
const NETWORK_ERROR = { status: 0, statusText: "", headers: [], urlList: [] };

export class Received {
  // Its head; whether it has a body; the bytes that have come, and what has been made of them.
  #head;
  #hasBody;
  #pieces = [];
  #cache = {};
  length = 0;

  // Without a head, a network error.
  constructor(head = null, hasBody = false) {
    this.#head = head ?? NETWORK_ERROR;
    this.#hasBody = hasBody;
    this.isError = head === null;
  }

  get status() { return this.#head.status; }
  get statusText() { return this.#head.statusText; }
  get url() { return this.#head.urlList.length === 0 ? "" : this.#head.urlList.at(-1).replace(/#.*$/s, ""); }
  get headerText() { return headerText(this.#head.headers); }
  header(name) { return combined(this.#head.headers, name); }

  // The length that it says it has, or 0.
  get wholeLength() { return this.header("content-encoding") === null ? extractLength(this.#head.headers) : 0; }

  add(bytes) {
    this.#pieces.push(bytes);
    this.length += bytes.byteLength;
    this.#cache = {};
  }

  text(responseType, overrideMimeType) { return this.#cache.text ??= textOf(this.#result(overrideMimeType), responseType); }
  object(responseType, overrideMimeType) { return this.#object(() => responseOf(responseType, this.#result(overrideMimeType))); }
  document(responseType, overrideMimeType) { return this.#object(() => xmlOf(this.#result(overrideMimeType), responseType)); }

  // The response object is made once, also if it is null.
  #object(make) {
    if (!("object" in this.#cache)) this.#cache.object = make();
    return this.#cache.object;
  }

  // All that is known of it.
  #result(overrideMimeType) {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.#pieces) {
      bytes.set(piece, at);
      at += piece.byteLength;
    }
    this.#pieces = [bytes];
    return { bytes, headers: this.#head.headers, hasBody: this.#hasBody, overrideMimeType, url: this.url };
  }
}

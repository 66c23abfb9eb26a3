// TextEncoder and TextDecoder for UTF-8, and base64. (Encoding; HTML, "Base64 utility methods".)

import { op_utf8_decode, op_utf8_encode, op_utf8_forget } from "ops";
import { DOMString, bytesOf, call, dictionary, errorOf, idl, required } from "./webidl.js";

export class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(input = "") { return op_utf8_encode(DOMString(input).toWellFormed()); }
  encodeInto(source, destination) {
    required(arguments.length, 2, "encodeInto");
    if (!(destination instanceof Uint8Array)) throw new TypeError("encodeInto: the destination is not a Uint8Array");
    let read = 0;
    let written = 0;
    for (const character of DOMString(source).toWellFormed()) {
      const code = character.codePointAt(0);
      const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      if (written + size > destination.length) break;
      destination.set(op_utf8_encode(character), written);
      read += character.length;
      written += size;
    }
    return { read, written };
  }
}
idl(TextEncoder);

const UTF8_LABELS = ["unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "utf-8", "utf8", "x-unicode20utf8"];
const EMPTY = new Uint8Array();
let lastDecoder = 0;
// Forgets the state of a decoder that was dropped in the middle of a stream.
const registry = new FinalizationRegistry(op_utf8_forget);

export class TextDecoder {
  #id = 0;
  #fatal;
  #ignoreBOM;
  constructor(label = "utf-8", options = undefined) {
    const name = DOMString(label).replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "").toLowerCase();
    if (!UTF8_LABELS.includes(name)) throw new RangeError(`TextDecoder: only UTF-8 is offered, not '${label}'`);
    const { fatal, ignoreBOM } = dictionary(options, "The options of TextDecoder");
    this.#fatal = !!fatal;
    this.#ignoreBOM = !!ignoreBOM;
  }
  get encoding() { return "utf-8"; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  decode(input = undefined, options = undefined) {
    const bytes = input === undefined ? EMPTY : bytesOf(input);
    if (bytes === null) throw new TypeError("TextDecoder.decode: the input is not a buffer");
    const stream = !!dictionary(options, "The options of decode").stream;
    if (stream && this.#id === 0) {
      this.#id = ++lastDecoder;
      registry.register(this, this.#id);
    }
    return call(op_utf8_decode, this.#id, bytes, [this.#fatal, this.#ignoreBOM, stream]);
  }
}
idl(TextDecoder);

// *UTF-8 encode*.
export const utf8Encode = (string) => op_utf8_encode(string);

// *UTF-8 decode without BOM*: a byte order mark stays.
export const utf8DecodeWithoutBOM = (bytes) => call(op_utf8_decode, 0, bytes, [false, true, false]);

// *UTF-8 decode*: without a byte order mark, with U+FFFD for what is not UTF-8.
export const utf8Decode = (bytes) => call(op_utf8_decode, 0, bytes, [false, false, false]);

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function btoa(data) {
  required(arguments.length, 1, "btoa");
  const string = DOMString(data);
  let out = "";
  for (let i = 0; i < string.length; i += 3) {
    const codes = [string.charCodeAt(i), string.charCodeAt(i + 1), string.charCodeAt(i + 2)];
    if (codes.some((code) => code > 255)) throw errorOf("InvalidCharacterError", "btoa: a character is above U+00FF");
    const bits = codes[0] << 16 | codes[1] << 8 | codes[2];
    const left = string.length - i;
    out += ALPHABET[bits >> 18] + ALPHABET[bits >> 12 & 63] + (left > 1 ? ALPHABET[bits >> 6 & 63] : "=") + (left > 2 ? ALPHABET[bits & 63] : "=");
  }
  return out;
}

export function atob(data) {
  required(arguments.length, 1, "atob");
  // Infra, "forgiving-base64 decode".
  let string = DOMString(data).replace(/[\t\n\f\r ]/g, "");
  if (string.length % 4 === 0) string = string.replace(/={1,2}$/, "");
  if (string.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(string)) {
    throw errorOf("InvalidCharacterError", "atob: the string is not correctly encoded");
  }
  let out = "";
  let bits = 0;
  let count = 0;
  for (const character of string) {
    bits = (bits << 6 | ALPHABET.indexOf(character)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += String.fromCharCode(bits >> count & 255);
    }
  }
  return out;
}

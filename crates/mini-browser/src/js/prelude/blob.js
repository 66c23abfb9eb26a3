// Blob. (File API, "The Blob Interface and Binary Data".)
//
// The bytes of a blob are a Uint8Array that no script ever sees, so that slices share them.

import { op_load, op_set_hook, op_utf8_encode } from "ops";
import { brands, foreign } from "./brands.js";
import { serializable } from "./serializable.js";
import { DOMString, HOST, USVString, bufferSource, clampLongLong, dictionary, enumeration, idl, sequence } from "./webidl.js";

let bytesOf;
let isOwn;

export class Blob {
  #bytes;
  #type;

  constructor(blobParts = undefined, options = {}) {
    if (blobParts === HOST) {
      this.#bytes = options.bytes;
      this.#type = options.type;
      return;
    }
    const parts = blobParts === undefined ? [] : convertBlobParts(blobParts, "The parts of a Blob");
    const { endings, type } = blobPropertyBag(dictionary(options, "The options of a Blob"));
    // Steps 2 to 4.
    this.#bytes = processBlobParts(parts, endings);
    this.#type = typeString(type);
  }

  get size() { return this.#bytes.byteLength; }
  get type() { return this.#type; }

  // Slice blob.
  slice(start = undefined, end = undefined, contentType = undefined) {
    const { byteLength: size } = this.#bytes;
    const from = start === undefined ? undefined : clampLongLong(start);
    const to = end === undefined ? undefined : clampLongLong(end);
    const type = contentType === undefined ? "" : typeString(DOMString(contentType));
    // Steps 3 and 4: both count from the end if they are negative.
    const relative = (position) => (position < 0 ? Math.max(size + position, 0) : Math.min(position, size));
    const relativeStart = from === undefined ? 0 : relative(from);
    const relativeEnd = to === undefined ? size : relative(to);
    // Steps 6 and 7.
    const span = Math.max(relativeEnd - relativeStart, 0);
    return newBlob(this.#bytes.subarray(relativeStart, relativeStart + span), type);
  }

  // Get stream.
  stream() {
    const bytes = this.#bytes;
    return op_load("streams/readable_stream.js").byteStreamOf(bytes);
  }

  async text() {
    const bytes = this.#bytes;
    return op_load("encoding.js").utf8Decode(bytes);
  }

  async arrayBuffer() { return this.#bytes.slice().buffer; }

  async bytes() { return this.#bytes.slice(); }

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #bytes in value;
    bytesOf = (blob) => (isOwn(blob) ? blob.#bytes : foreign("blob parts", blob));
  }
}
idl(Blob);
const isOne = (value) => isOwn(value) || foreign("blob parts", value) !== null;
brands.isBlob = isOne;
op_set_hook("blob parts", (value) => (isOwn(value) ? bytesOf(value) : null));

// Whether a value is a Blob.
export const isBlob = isOne;

// The bytes of a Blob, which nobody may write to.
export const blobBytes = bytesOf;

// A Blob over bytes that nobody writes to any more.
export function newBlob(bytes, type) { return new Blob(HOST, { bytes, type }); }

// sequence<BlobPart>. A BufferSource and a Blob stay what they are until all is converted.
export function convertBlobParts(value, what) {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) throw new TypeError(`${what} are not a sequence`);
  return sequence(value, (part) => (isBlob(part) || bufferSource(part) !== null ? part : USVString(part)), what);
}

// BlobPropertyBag: its members in lexicographical order.
export function blobPropertyBag(options) {
  const { endings } = options;
  const converted = endings === undefined ? "transparent" : enumeration(endings, ["transparent", "native"], "endings");
  const { type } = options;
  return { endings: converted, type: type === undefined ? "" : DOMString(type) };
}

// Process blob parts.
export function processBlobParts(parts, endings) {
  const pieces = parts.map((part) => {
    if (typeof part === "string") return op_utf8_encode(endings === "native" ? part.replace(/\r\n?|\n/g, "\n") : part);
    return isBlob(part) ? bytesOf(part) : bufferSource(part);
  });
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

// The type that a Blob takes: none if it has characters that it must not have.
export function typeString(type) {
  return /^[\x20-\x7e]*$/.test(type) ? type.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : "";
}

// Serialization steps. What is cloned has bytes of its own.
serializable(Blob, "Blob", {
  is: isBlob,
  serialize: (blob) => ({ bytes: bytesOf(blob).slice(), type: blob.type }),
  deserialize: ({ bytes, type }) => newBlob(bytes, type),
});

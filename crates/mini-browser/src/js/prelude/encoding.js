// TextEncoder and TextDecoder. (Encoding, "API".)

import { op_encoding, op_text_decode, op_text_forget, op_utf8_encode, op_utf8_encode_into } from "ops";
import { bufferSource, byteLengthOf, byteOffsetOf, bufferOf, typedArrayName } from "./buffers.js";
import { DOMString, call, dictionary, idl, required } from "./webidl.js";

const { set } = Uint8Array.prototype;

export class TextEncoder {
  #encoding = "utf-8";
  get encoding() { return this.#encoding; }
  encode(input = "") {
    this.#encoding;
    return op_utf8_encode(DOMString(input).toWellFormed());
  }
  encodeInto(source, destination) {
    this.#encoding;
    required(arguments.length, 2, "encodeInto");
    const text = DOMString(source);
    if (!ArrayBuffer.isView(destination) || typedArrayName(destination) !== "Uint8Array") throw new TypeError("encodeInto: the destination is not a Uint8Array");
    const room = byteLengthOf(destination);
    const [bytes, read] = op_utf8_encode_into(text.toWellFormed(), room);
    const written = bytes.byteLength;
    Reflect.apply(set, new Uint8Array(bufferOf(destination), byteOffsetOf(destination), written), [bytes]);
    return { read, written };
  }
}
idl(TextEncoder);

const EMPTY = new Uint8Array();
let lastDecoder = 0;
// Forgets the state of a decoder that was dropped in the middle of a stream.
const registry = new FinalizationRegistry(op_text_forget);

// What TextDecoder and TextDecoderStream have in common: the fields, and *decode*.
export class DecoderState {
  id = 0;
  constructor(label, options) {
    const name = op_encoding(DOMString(label).toWellFormed());
    const { fatal, ignoreBOM } = dictionary(options, "The options of the decoder");
    if (name === null || name === undefined) throw new RangeError(`There is no encoding '${label}'`);
    this.encoding = name;
    this.fatal = !!fatal;
    this.ignoreBOM = !!ignoreBOM;
  }
  decode(bytes, stream) {
    if (stream && this.id === 0) {
      this.id = ++lastDecoder;
      registry.register(this, this.id);
    }
    return call(op_text_decode, this.id, this.encoding, bytes, [this.fatal, this.ignoreBOM, stream]);
  }
}

export class TextDecoder {
  #state;
  constructor(label = "utf-8", options = undefined) { this.#state = new DecoderState(label, options); }
  get encoding() { return this.#state.encoding; }
  get fatal() { return this.#state.fatal; }
  get ignoreBOM() { return this.#state.ignoreBOM; }
  decode(input = undefined, options = undefined) {
    const state = this.#state;
    const bytes = input === undefined ? EMPTY : bufferSource(input, "TextDecoder.decode: the input", true, true);
    const stream = !!dictionary(options, "The options of decode").stream;
    // A script could write to shared memory meanwhile.
    return state.decode(bytes, stream);
  }
}
idl(TextDecoder);

// *UTF-8 encode*.
export const utf8Encode = (string) => op_utf8_encode(string);

// *UTF-8 decode without BOM*: a byte order mark stays.
export const utf8DecodeWithoutBOM = (bytes) => call(op_text_decode, 0, "utf-8", bytes, [false, true, false]);

// *UTF-8 decode*: without a byte order mark, with U+FFFD for what is not UTF-8.
export const utf8Decode = (bytes) => call(op_text_decode, 0, "utf-8", bytes, [false, false, false]);

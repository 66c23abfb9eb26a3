// TextEncoderStream and TextDecoderStream. (Encoding, "Interface TextEncoderStream", "Interface
// TextDecoderStream".)

import { op_utf8_encode } from "ops";
import { bufferSource } from "../buffers.js";
import { DecoderState } from "../encoding.js";
import { DOMString, idl } from "../webidl.js";
import { readableObject } from "./readable_stream.js";
import { setUpTransform, transformEnqueue } from "./transform_stream.js";
import { writableObject } from "./writable_stream.js";

export class TextEncoderStream {
  #stream;
  // The leading surrogate that a chunk ended with.
  #pending = "";
  constructor() {
    this.#stream = setUpTransform({
      // Encode and enqueue a chunk.
      transform: (chunk, controller) => {
        let text = this.#pending + DOMString(chunk);
        this.#pending = "";
        if (/[\ud800-\udbff]$/.test(text)) {
          this.#pending = text.slice(-1);
          text = text.slice(0, -1);
        }
        if (text !== "") transformEnqueue(controller, op_utf8_encode(text.toWellFormed()));
      },
      // Encode and flush.
      flush: (controller) => {
        if (this.#pending !== "") transformEnqueue(controller, new Uint8Array([0xef, 0xbf, 0xbd]));
      },
    });
  }
  get encoding() { return (this.#stream, "utf-8"); }
  get readable() { return readableObject(this.#stream.readable); }
  get writable() { return writableObject(this.#stream.writable); }
}
idl(TextEncoderStream);

export class TextDecoderStream {
  #stream;
  #state;
  constructor(label = "utf-8", options = undefined) {
    const state = this.#state = new DecoderState(label, options);
    const enqueue = (controller, text) => {
      if (text !== "") transformEnqueue(controller, text);
    };
    this.#stream = setUpTransform({
      // Decode and enqueue a chunk.
      transform: (chunk, controller) => enqueue(controller, state.decode(bufferSource(chunk, "TextDecoderStream: the chunk", true), true)),
      // Flush and enqueue.
      flush: (controller) => enqueue(controller, state.decode(new Uint8Array(), false)),
    });
  }
  get encoding() { return this.#state.encoding; }
  get fatal() { return this.#state.fatal; }
  get ignoreBOM() { return this.#state.ignoreBOM; }
  get readable() { return readableObject(this.#stream.readable); }
  get writable() { return writableObject(this.#stream.writable); }
}
idl(TextDecoderStream);

// CompressionStream and DecompressionStream. (Compression Streams.)

import { op_codec_forget, op_codec_open, op_codec_run } from "ops";
import { bufferSource } from "../buffers.js";
import { call, enumeration, idl, required } from "../webidl.js";
import { readableObject } from "./readable_stream.js";
import { setUpTransform, transformEnqueue } from "./transform_stream.js";
import { writableObject } from "./writable_stream.js";

const FORMATS = ["deflate", "deflate-raw", "gzip"];

// How many bytes go into a codec at a time: so what comes out of hostile input at a time has a limit.
const PIECE = 16384;

// Forgets the codec of a stream that was dropped in the middle.
const registry = new FinalizationRegistry(op_codec_forget);

function newStream(what, format, decompress) {
  enumeration(format, FORMATS, what);
  const id = call(op_codec_open, `${format}`, decompress);
  const run = (bytes, last, controller) => {
    const out = call(op_codec_run, id, bytes, last);
    if (out.byteLength > 0) transformEnqueue(controller, out);
  };
  const stream = setUpTransform({
    // Compress, or decompress, and enqueue a chunk.
    transform(chunk, controller) {
      const bytes = bufferSource(chunk, `${what}: the chunk`);
      for (let at = 0; at < bytes.byteLength; at += PIECE) run(bytes.subarray(at, at + PIECE), false, controller);
    },
    // Compress flush, or decompress flush, and enqueue.
    flush: (controller) => run(new Uint8Array(), true, controller),
  });
  registry.register(stream, id);
  return stream;
}

export class CompressionStream {
  #stream;
  constructor(format) {
    required(arguments.length, 1, "CompressionStream");
    this.#stream = newStream("CompressionStream", format, false);
  }
  get readable() { return readableObject(this.#stream.readable); }
  get writable() { return writableObject(this.#stream.writable); }
}
idl(CompressionStream);

export class DecompressionStream {
  #stream;
  constructor(format) {
    required(arguments.length, 1, "DecompressionStream");
    this.#stream = newStream("DecompressionStream", format, true);
  }
  get readable() { return readableObject(this.#stream.readable); }
  get writable() { return writableObject(this.#stream.writable); }
}
idl(DecompressionStream);

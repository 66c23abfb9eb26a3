// ReadableStream. (Streams, "The ReadableStream class"; the abstract operations are in readable_ops.js.)

import { op_set_hook } from "ops";
import { abortSignal } from "../abort.js";
import { asyncIterable, endOfIteration } from "../async_iterable.js";
import { brands, foreign } from "../brands.js";
import { enforceRange } from "../fetch_idl.js";
import { newPromise, promising, rejectedWith, resolvedWith, setHandled } from "../promises.js";
import { HOST, dictionary, enumeration, idl, required } from "../webidl.js";
import { byteClose, byteEnqueue, controllerRespond, setUpByteFromUnderlyingSource } from "./byte_controller.js";
import { setUpFromUnderlyingSource } from "./default_controller.js";
import { fromIterable } from "./from.js";
import { pipeTo } from "./pipe.js";
import { callbacksOf, extractHighWaterMark, extractSizeAlgorithm, queuingStrategy } from "./queue.js";
import { acquireDefaultReader, cancel, initialize, isLocked, newReadableByte, read, readerCancel, release } from "./readable_ops.js";
import { newByobReader, newDefaultReader } from "./readers.js";
import { tee } from "./tee.js";
import { makeTransferable } from "./transfer.js";
import { isLocked as isWritableLocked } from "./writable_ops.js";
import { writableOf } from "./writable_stream.js";

let recordOf, isOwn, adopt;

export class ReadableStream {
  #stream = initialize();

  constructor(underlyingSource = undefined, strategy = undefined) {
    if (underlyingSource === HOST) {
      this.#stream = strategy;
      strategy.object = this;
      return;
    }
    if (underlyingSource !== undefined && (typeof underlyingSource !== "object" || underlyingSource === null) && typeof underlyingSource !== "function") {
      throw new TypeError("ReadableStream: the underlying source is not an object");
    }
    const converted = queuingStrategy(strategy);
    // Steps 1 and 2.
    const source = underlyingSource === undefined ? null : underlyingSource;
    const members = source === null ? { __proto__: null } : underlyingSourceOf(source);
    // Step 3.
    const stream = this.#stream;
    stream.object = this;
    if (members.type === "bytes") {
      // Step 4.
      if (converted.size !== undefined) throw new RangeError("ReadableStream: a byte stream's strategy has no size");
      setUpByteFromUnderlyingSource(stream, source, members, extractHighWaterMark(converted, 0));
    } else {
      // Step 5.
      const sizeAlgorithm = extractSizeAlgorithm(converted);
      setUpFromUnderlyingSource(stream, source, members, extractHighWaterMark(converted, 1), sizeAlgorithm);
    }
  }

  static from(asyncIterable) {
    required(arguments.length, 1, "ReadableStream.from");
    return readableObject(fromIterable(asyncIterable));
  }

  get locked() { return isLocked(recordOf(this)); }
  cancel(reason = undefined) {
    return promising(() => {
      const stream = recordOf(this);
      if (isLocked(stream)) return rejectedWith(new TypeError("cancel: the stream is locked"));
      return cancel(stream, reason);
    });
  }
  getReader(options = undefined) {
    const stream = recordOf(this);
    const { mode } = dictionary(options, "The options of getReader");
    if (mode === undefined) return newDefaultReader(stream);
    enumeration(mode, ["byob"], "The reader's mode");
    return newByobReader(stream);
  }
  pipeThrough(transform, options = undefined) {
    const stream = recordOf(this);
    required(arguments.length, 1, "pipeThrough");
    const { readable, writable } = readableWritablePair(transform);
    const { preventClose, preventAbort, preventCancel, signal } = streamPipeOptions(options);
    if (isLocked(stream)) throw new TypeError("pipeThrough: the stream is locked");
    if (isWritableLocked(writable)) throw new TypeError("pipeThrough: the writable side is locked");
    setHandled(pipeTo(stream, writable, preventClose, preventAbort, preventCancel, signal));
    return readable;
  }
  pipeTo(destination, options = undefined) {
    return promising(() => {
      const stream = recordOf(this);
      required(arguments.length, 1, "pipeTo");
      const writable = writableOf(destination, "pipeTo: the destination");
      const { preventClose, preventAbort, preventCancel, signal } = streamPipeOptions(options);
      if (isLocked(stream)) return rejectedWith(new TypeError("pipeTo: the stream is locked"));
      if (isWritableLocked(writable)) return rejectedWith(new TypeError("pipeTo: the destination is locked"));
      return pipeTo(stream, writable, preventClose, preventAbort, preventCancel, signal);
    });
  }
  tee() { return tee(recordOf(this), false).map(readableObject); }

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #stream in value;
    recordOf = (value) => (isOwn(value) ? value.#stream : elsewhere(value));
    op_set_hook("readable stream", (value) => (isOwn(value) ? value.#stream : null));
    adopt = (stream) => Reflect.construct(ReadableStream, [HOST, stream]);
  }
}

asyncIterable(ReadableStream, "ReadableStream", {
  // Asynchronous iterator initialization steps.
  initialize(object, options) {
    const stream = recordOf(object);
    const preventCancel = !!dictionary(options, "The options of values").preventCancel;
    return { reader: acquireDefaultReader(stream), preventCancel };
  },
  // Get the next iteration result.
  next({ reader }) {
    if (reader.stream === undefined) return rejectedWith(new TypeError("The iterator's reader has been released"));
    const { promise, resolve, reject } = newPromise();
    read(reader, {
      chunk: resolve,
      close() {
        release(reader);
        resolve(endOfIteration);
      },
      error(e) {
        release(reader);
        reject(e);
      },
    });
    return promise;
  },
  // Asynchronous iterator return.
  return({ reader, preventCancel }, reason) {
    if (reader.stream === undefined) return resolvedWith(undefined);
    if (!preventCancel) {
      const result = readerCancel(reader, reason);
      release(reader);
      return result;
    }
    release(reader);
    return resolvedWith(undefined);
  },
});
idl(ReadableStream);

// UnderlyingSource, a dictionary.
function underlyingSourceOf(source) {
  const given = source.autoAllocateChunkSize;
  const autoAllocateChunkSize = given === undefined ? undefined : enforceRange(given, 0, Number.MAX_SAFE_INTEGER, "The underlying source's autoAllocateChunkSize");
  const { cancel, pull, start } = callbacksOf(source, ["cancel", "pull", "start"], "The underlying source");
  const { type } = source;
  if (type !== undefined) enumeration(type, ["bytes"], "The underlying source's type");
  return { autoAllocateChunkSize, cancel, pull, start, type: type === undefined ? undefined : "bytes" };
}

// ReadableWritablePair, a dictionary: the readable side as an object, the writable one's record.
function readableWritablePair(value) {
  const pair = dictionary(value, "pipeThrough: the transform");
  const { readable } = pair;
  if (readable === undefined) throw new TypeError("pipeThrough: the member 'readable' is required");
  readableOf(readable, "pipeThrough: the member 'readable'");
  const { writable } = pair;
  if (writable === undefined) throw new TypeError("pipeThrough: the member 'writable' is required");
  return { readable, writable: writableOf(writable, "pipeThrough: the member 'writable'") };
}

// StreamPipeOptions, a dictionary.
function streamPipeOptions(value) {
  const options = dictionary(value, "The options of the pipe");
  const preventAbort = !!options.preventAbort;
  const preventCancel = !!options.preventCancel;
  const preventClose = !!options.preventClose;
  const { signal } = options;
  return { preventAbort, preventCancel, preventClose, signal: signal === undefined ? undefined : abortSignal(signal) };
}

// The stream of an object of another realm.
function elsewhere(value) {
  const stream = foreign("readable stream", value);
  if (stream === null) throw new TypeError("The value is not a ReadableStream");
  return stream;
}

const isOne = (value) => isOwn(value) || foreign("readable stream", value) !== null;

// The stream behind a ReadableStream object; throws for anything else.
export function readableOf(value, what) {
  if (!isOne(value)) throw new TypeError(`${what} is not a ReadableStream`);
  return recordOf(value);
}

export const isReadableStream = (value) => isOne(value);
brands.isReadableStream = isReadableStream;

// The object of a stream, made when a script first sees it.
export const readableObject = (stream) => stream.object ?? adopt(stream);

makeTransferable(ReadableStream, "ReadableStream", isOwn, recordOf, readableObject);

// A byte stream of bytes that are there already and that nobody writes to: it gives copies, in chunks.
export function byteStreamOf(bytes) {
  let at = 0;
  const stream = newReadableByte({
    __proto__: null,
    pull() {
      const { controller } = stream;
      const chunk = bytes.slice(at, at + CHUNK);
      at += chunk.byteLength;
      if (chunk.byteLength > 0) byteEnqueue(controller, chunk);
      if (at >= bytes.byteLength) {
        byteClose(controller);
        if (controller.pendingPullIntos.length > 0) controllerRespond(controller, 0);
      }
      return resolvedWith(undefined);
    },
  });
  return readableObject(stream);
}

// How many bytes a chunk has at most.
const CHUNK = 65536;

// ReadableStreamDefaultReader and ReadableStreamBYOBReader. (Streams, "The ReadableStreamGenericReader
// mixin" and the sections after it.)

import { arrayBufferView, bufferByteLength, bufferOf, byteLengthOf, isDetached, typedArrayName } from "../buffers.js";
import { enforceRange } from "../fetch_idl.js";
import { newPromise, promising, rejectedWith } from "../promises.js";
import { HOST, dictionary, idl, required } from "../webidl.js";
import { pullInto } from "./pull_into.js";
import { acquireByobReader, acquireDefaultReader, read, readerCancel, release } from "./readable_ops.js";
import { readableOf } from "./readable_stream.js";

const released = (what) => new TypeError(`${what}: the reader has been released`);

// What resolves the promise of a read.
function requestOf({ resolve, reject }) {
  return {
    chunk: (value) => resolve({ value, done: false }),
    close: (value = undefined) => resolve({ value, done: true }),
    error: reject,
  };
}

export class ReadableStreamDefaultReader {
  #reader;
  constructor(stream) {
    if (stream === HOST) {
      this.#reader = arguments[1];
      return;
    }
    required(arguments.length, 1, "ReadableStreamDefaultReader");
    this.#reader = acquireDefaultReader(readableOf(stream, "The argument of ReadableStreamDefaultReader"));
  }
  get closed() { return promising(() => this.#reader.closedPromise.promise); }
  cancel(reason = undefined) {
    return promising(() => {
      const reader = this.#reader;
      return reader.stream === undefined ? rejectedWith(released("cancel")) : readerCancel(reader, reason);
    });
  }
  read() {
    return promising(() => {
      const reader = this.#reader;
      if (reader.stream === undefined) return rejectedWith(released("read"));
      const promise = newPromise();
      read(reader, requestOf(promise));
      return promise.promise;
    });
  }
  releaseLock() {
    const reader = this.#reader;
    if (reader.stream !== undefined) release(reader);
  }
}
idl(ReadableStreamDefaultReader);

export class ReadableStreamBYOBReader {
  #reader;
  constructor(stream) {
    if (stream === HOST) {
      this.#reader = arguments[1];
      return;
    }
    required(arguments.length, 1, "ReadableStreamBYOBReader");
    this.#reader = acquireByobReader(readableOf(stream, "The argument of ReadableStreamBYOBReader"));
  }
  get closed() { return promising(() => this.#reader.closedPromise.promise); }
  cancel(reason = undefined) {
    return promising(() => {
      const reader = this.#reader;
      return reader.stream === undefined ? rejectedWith(released("cancel")) : readerCancel(reader, reason);
    });
  }
  read(view, options = undefined) {
    return promising(() => {
      const reader = this.#reader;
      required(arguments.length, 1, "read");
      arrayBufferView(view, "read: the view");
      const { min: given } = dictionary(options, "The options of read");
      const min = given === undefined ? 1 : enforceRange(given, 0, Number.MAX_SAFE_INTEGER, "read: the member 'min'");
      if (byteLengthOf(view) === 0) throw new TypeError("read: the view is empty");
      if (bufferByteLength(bufferOf(view)) === 0) throw new TypeError("read: the view's buffer is empty");
      if (isDetached(bufferOf(view))) throw new TypeError("read: the view's buffer is detached");
      if (min === 0) throw new TypeError("read: the member 'min' is 0");
      const length = typedArrayName(view) === undefined ? byteLengthOf(view) : view.length;
      if (min > length) throw new RangeError("read: the member 'min' is more than the view takes");
      if (reader.stream === undefined) return rejectedWith(released("read"));
      const promise = newPromise();
      readByob(reader, view, min, requestOf(promise));
      return promise.promise;
    });
  }
  releaseLock() {
    const reader = this.#reader;
    if (reader.stream !== undefined) release(reader);
  }
}
idl(ReadableStreamBYOBReader);

// ReadableStreamBYOBReaderRead.
export function readByob(reader, view, min, readIntoRequest) {
  const { stream } = reader;
  stream.disturbed = true;
  if (stream.state === "errored") readIntoRequest.error(stream.storedError);
  else pullInto(stream.controller, view, min, readIntoRequest);
}

// AcquireReadableStreamDefaultReader and AcquireReadableStreamBYOBReader, as objects for scripts.
export const newDefaultReader = (stream) => Reflect.construct(ReadableStreamDefaultReader, [HOST, acquireDefaultReader(stream)]);
export const newByobReader = (stream) => Reflect.construct(ReadableStreamBYOBReader, [HOST, acquireByobReader(stream)]);

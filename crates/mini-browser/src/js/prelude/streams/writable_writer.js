// WritableStreamDefaultWriter. (Streams, "The WritableStreamDefaultWriter class".)

import { newPromise, promising, rejectedWith, setHandled } from "../promises.js";
import { HOST, idl, required } from "../webidl.js";
import { getChunkSize, getDesiredSize, controllerWrite } from "./writable_controller.js";
import { abort, addWriteRequest, close, closeQueuedOrInFlight, isLocked } from "./writable_ops.js";
import { writableOf } from "./writable_stream.js";

// A settled promise counts as one that is rejected anew: it is replaced.
const pending = (capability) => capability.isSettled !== true;

export class WritableStreamDefaultWriter {
  #writer;

  constructor(stream) {
    if (stream === HOST) {
      this.#writer = arguments[1];
      return;
    }
    required(arguments.length, 1, "WritableStreamDefaultWriter");
    this.#writer = setUpWriter(writableOf(stream, "The argument of WritableStreamDefaultWriter"));
  }
  get closed() { return promising(() => this.#writer.closedPromise.promise); }
  get desiredSize() {
    const writer = this.#writer;
    if (writer.stream === undefined) throw released("desiredSize");
    return writerDesiredSize(writer);
  }
  get ready() { return promising(() => this.#writer.readyPromise.promise); }
  abort(reason = undefined) {
    return promising(() => {
      const { stream } = this.#writer;
      return stream === undefined ? rejectedWith(released("abort")) : abort(stream, reason);
    });
  }
  close() {
    return promising(() => {
      const { stream } = this.#writer;
      if (stream === undefined) return rejectedWith(released("close"));
      if (closeQueuedOrInFlight(stream)) return rejectedWith(new TypeError("close: the stream is closing already"));
      return close(stream);
    });
  }
  releaseLock() {
    const writer = this.#writer;
    if (writer.stream !== undefined) releaseWriter(writer);
  }
  write(chunk = undefined) {
    return promising(() => {
      const writer = this.#writer;
      return writer.stream === undefined ? rejectedWith(released("write")) : writerWrite(writer, chunk);
    });
  }
}
idl(WritableStreamDefaultWriter);

const released = (what) => new TypeError(`${what}: the writer has been released`);

// AcquireWritableStreamDefaultWriter, as an object for scripts.
export const acquireWriter = (stream) => Reflect.construct(WritableStreamDefaultWriter, [HOST, setUpWriter(stream)]);

// SetUpWritableStreamDefaultWriter.
export function setUpWriter(stream) {
  if (isLocked(stream)) throw new TypeError("The stream is locked to a writer already");
  const writer = { stream, readyPromise: newSettling(), closedPromise: newSettling() };
  stream.writer = writer;
  switch (stream.state) {
    case "writable":
      if (closeQueuedOrInFlight(stream) || !stream.backpressure) writer.readyPromise.resolve(undefined);
      break;
    case "erroring":
      rejectHandled(writer.readyPromise, stream.storedError);
      break;
    case "closed":
      writer.readyPromise.resolve(undefined);
      writer.closedPromise.resolve(undefined);
      break;
    default:
      rejectHandled(writer.readyPromise, stream.storedError);
      rejectHandled(writer.closedPromise, stream.storedError);
  }
  return writer;
}

// A new promise that knows whether it is settled.
export function newSettling() {
  const { promise, resolve, reject } = newPromise();
  const capability = {
    promise,
    isSettled: false,
    resolve(value) {
      capability.isSettled = true;
      resolve(value);
    },
    reject(reason) {
      capability.isSettled = true;
      reject(reason);
    },
  };
  return capability;
}

function rejectHandled(capability, reason) {
  capability.reject(reason);
  setHandled(capability.promise);
}

// WritableStreamDefaultWriterEnsureReadyPromiseRejected.
export function ensureReadyRejected(writer, error) {
  if (!pending(writer.readyPromise)) writer.readyPromise = newSettling();
  rejectHandled(writer.readyPromise, error);
}

// WritableStreamDefaultWriterEnsureClosedPromiseRejected.
function ensureClosedRejected(writer, error) {
  if (!pending(writer.closedPromise)) writer.closedPromise = newSettling();
  rejectHandled(writer.closedPromise, error);
}

// WritableStreamDefaultWriterCloseWithErrorPropagation.
export function closeWithErrorPropagation(writer) {
  const { stream } = writer;
  if (closeQueuedOrInFlight(stream) || stream.state === "closed") return resolved();
  if (stream.state === "errored") return rejectedWith(stream.storedError);
  return close(stream);
}

function resolved() {
  const { promise, resolve } = newPromise();
  resolve(undefined);
  return promise;
}

// WritableStreamDefaultWriterGetDesiredSize.
export function writerDesiredSize({ stream }) {
  if (stream.state === "errored" || stream.state === "erroring") return null;
  return stream.state === "closed" ? 0 : getDesiredSize(stream.controller);
}

// WritableStreamDefaultWriterRelease.
export function releaseWriter(writer) {
  const { stream } = writer;
  const error = new TypeError("The writer has been released");
  ensureReadyRejected(writer, error);
  ensureClosedRejected(writer, error);
  stream.writer = undefined;
  writer.stream = undefined;
}

// WritableStreamDefaultWriterWrite.
export function writerWrite(writer, chunk) {
  const { stream } = writer;
  const { controller } = stream;
  const chunkSize = getChunkSize(controller, chunk);
  if (stream !== writer.stream) return rejectedWith(released("write"));
  const { state } = stream;
  if (state === "errored") return rejectedWith(stream.storedError);
  if (closeQueuedOrInFlight(stream) || state === "closed") return rejectedWith(new TypeError("write: the stream is closing or closed"));
  if (state === "erroring") return rejectedWith(stream.storedError);
  const promise = addWriteRequest(stream);
  controllerWrite(controller, chunk, chunkSize);
  return promise;
}

// Abstract operations of writable streams. (Streams, "Working with writable streams" and "Interfacing
// with controllers".) A stream here is a record with the standard's internal slots.

import { newPromise, rejectedWith, resolvedWith, setHandled, upon } from "../promises.js";
import { abortSteps, controllerClose, errorSteps, setUpController } from "./writable_controller.js";
import { ensureReadyRejected, newSettling } from "./writable_writer.js";

// InitializeWritableStream.
export function initialize() {
  return {
    object: undefined, state: "writable", storedError: undefined, writer: undefined, controller: undefined,
    inFlightWriteRequest: undefined, closeRequest: undefined, inFlightCloseRequest: undefined, pendingAbortRequest: undefined,
    writeRequests: [], backpressure: false,
  };
}

// CreateWritableStream; the algorithms are `{ start, write, close, abort }`.
export function newWritable(algorithms, highWaterMark = 1, sizeAlgorithm = () => 1) {
  const stream = initialize();
  setUpController(stream, algorithms, highWaterMark, sizeAlgorithm);
  return stream;
}

export const isLocked = (stream) => stream.writer !== undefined;

// WritableStreamAbort.
export function abort(stream, reason) {
  if (stream.state === "closed" || stream.state === "errored") return resolvedWith(undefined);
  stream.controller.abortController.abort(reason);
  // The signal's listeners may have changed it.
  const { state } = stream;
  if (state === "closed" || state === "errored") return resolvedWith(undefined);
  if (stream.pendingAbortRequest !== undefined) return stream.pendingAbortRequest.promise.promise;
  let wasAlreadyErroring = false;
  if (state === "erroring") {
    wasAlreadyErroring = true;
    reason = undefined;
  }
  const promise = newPromise();
  stream.pendingAbortRequest = { promise, reason, wasAlreadyErroring };
  if (!wasAlreadyErroring) startErroring(stream, reason);
  return promise.promise;
}

// WritableStreamClose.
export function close(stream) {
  const { state } = stream;
  if (state === "closed" || state === "errored") return rejectedWith(new TypeError(`close: the stream is ${state}`));
  const promise = newPromise();
  stream.closeRequest = promise;
  const { writer } = stream;
  if (writer !== undefined && stream.backpressure && state === "writable") writer.readyPromise.resolve(undefined);
  controllerClose(stream.controller);
  return promise.promise;
}

// WritableStreamAddWriteRequest.
export function addWriteRequest(stream) {
  const promise = newPromise();
  stream.writeRequests.push(promise);
  return promise.promise;
}

export const closeQueuedOrInFlight = (stream) => stream.closeRequest !== undefined || stream.inFlightCloseRequest !== undefined;

export const hasOperationInFlight = (stream) => stream.inFlightWriteRequest !== undefined || stream.inFlightCloseRequest !== undefined;

// WritableStreamDealWithRejection.
export function dealWithRejection(stream, error) {
  if (stream.state === "writable") {
    startErroring(stream, error);
    return;
  }
  finishErroring(stream);
}

// WritableStreamStartErroring.
export function startErroring(stream, reason) {
  const { controller, writer } = stream;
  stream.state = "erroring";
  stream.storedError = reason;
  if (writer !== undefined) ensureReadyRejected(writer, reason);
  if (!hasOperationInFlight(stream) && controller.started) finishErroring(stream);
}

// WritableStreamFinishErroring.
export function finishErroring(stream) {
  stream.state = "errored";
  errorSteps(stream.controller);
  for (const request of stream.writeRequests) request.reject(stream.storedError);
  stream.writeRequests = [];
  if (stream.pendingAbortRequest === undefined) {
    rejectCloseAndClosedPromiseIfNeeded(stream);
    return;
  }
  const abortRequest = stream.pendingAbortRequest;
  stream.pendingAbortRequest = undefined;
  if (abortRequest.wasAlreadyErroring) {
    abortRequest.promise.reject(stream.storedError);
    rejectCloseAndClosedPromiseIfNeeded(stream);
    return;
  }
  upon(abortSteps(stream.controller, abortRequest.reason), () => {
    abortRequest.promise.resolve(undefined);
    rejectCloseAndClosedPromiseIfNeeded(stream);
  }, (reason) => {
    abortRequest.promise.reject(reason);
    rejectCloseAndClosedPromiseIfNeeded(stream);
  });
}

// WritableStreamRejectCloseAndClosedPromiseIfNeeded.
function rejectCloseAndClosedPromiseIfNeeded(stream) {
  if (stream.closeRequest !== undefined) {
    stream.closeRequest.reject(stream.storedError);
    stream.closeRequest = undefined;
  }
  const { writer } = stream;
  if (writer !== undefined) {
    writer.closedPromise.reject(stream.storedError);
    setHandled(writer.closedPromise.promise);
  }
}

// WritableStreamFinishInFlightWrite.
export function finishInFlightWrite(stream) {
  stream.inFlightWriteRequest.resolve(undefined);
  stream.inFlightWriteRequest = undefined;
}

// WritableStreamFinishInFlightWriteWithError.
export function finishInFlightWriteWithError(stream, error) {
  stream.inFlightWriteRequest.reject(error);
  stream.inFlightWriteRequest = undefined;
  dealWithRejection(stream, error);
}

// WritableStreamFinishInFlightClose.
export function finishInFlightClose(stream) {
  stream.inFlightCloseRequest.resolve(undefined);
  stream.inFlightCloseRequest = undefined;
  if (stream.state === "erroring") {
    // The error was too late to do anything.
    stream.storedError = undefined;
    if (stream.pendingAbortRequest !== undefined) {
      stream.pendingAbortRequest.promise.resolve(undefined);
      stream.pendingAbortRequest = undefined;
    }
  }
  stream.state = "closed";
  if (stream.writer !== undefined) stream.writer.closedPromise.resolve(undefined);
}

// WritableStreamFinishInFlightCloseWithError.
export function finishInFlightCloseWithError(stream, error) {
  stream.inFlightCloseRequest.reject(error);
  stream.inFlightCloseRequest = undefined;
  if (stream.pendingAbortRequest !== undefined) {
    stream.pendingAbortRequest.promise.reject(error);
    stream.pendingAbortRequest = undefined;
  }
  dealWithRejection(stream, error);
}

// WritableStreamMarkCloseRequestInFlight.
export function markCloseRequestInFlight(stream) {
  stream.inFlightCloseRequest = stream.closeRequest;
  stream.closeRequest = undefined;
}

// WritableStreamMarkFirstWriteRequestInFlight.
export function markFirstWriteRequestInFlight(stream) { stream.inFlightWriteRequest = stream.writeRequests.shift(); }

// WritableStreamUpdateBackpressure.
export function updateBackpressure(stream, backpressure) {
  const { writer } = stream;
  if (writer !== undefined && backpressure !== stream.backpressure) {
    if (backpressure) writer.readyPromise = newSettling();
    else writer.readyPromise.resolve(undefined);
  }
  stream.backpressure = backpressure;
}


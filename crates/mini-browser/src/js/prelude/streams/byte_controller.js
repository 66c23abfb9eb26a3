// ReadableByteStreamController and ReadableStreamBYOBRequest. (Streams, "The ReadableByteStreamController
// class", "The ReadableStreamBYOBRequest class".) The abstract operations on descriptors are in pull_into.js.

import { arrayBufferView, bufferByteLength, bufferOf, byteLengthOf, byteOffsetOf, isDetached, transferArrayBuffer } from "../buffers.js";
import { enforceRange } from "../fetch_idl.js";
import { promising, resolvedWith, upon } from "../promises.js";
import { HOST, idl, illegal, required } from "../webidl.js";
import {
  clearPendingPullIntos, commitDescriptor, enqueueChunkToQueue, enqueueClonedChunkToQueue, enqueueDetachedDescriptor,
  fillReadRequestFromQueue, newByteQueue, processDescriptorsUsingQueue, shiftPendingPullInto,
} from "./pull_into.js";
import { addRequest, close, error, fulfillRequest, hasByobReader, hasDefaultReader, numRequests } from "./readable_ops.js";

const { apply } = Reflect;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;

export class ReadableStreamBYOBRequest {
  #request;
  constructor(token, request) {
    illegal(token);
    this.#request = request;
  }
  get view() { return this.#request.view; }
  respond(bytesWritten) {
    const request = this.#request;
    required(arguments.length, 1, "respond");
    bytesWritten = enforceRange(bytesWritten, 0, MAX_SAFE, "respond: the number of bytes");
    if (request.controller === undefined) throw new TypeError("respond: the request has been answered");
    if (isDetached(bufferOf(request.view))) throw new TypeError("respond: the view's buffer is detached");
    controllerRespond(request.controller, bytesWritten);
  }
  respondWithNewView(view) {
    const request = this.#request;
    required(arguments.length, 1, "respondWithNewView");
    view = arrayBufferView(view, "respondWithNewView: the argument");
    if (request.controller === undefined) throw new TypeError("respondWithNewView: the request has been answered");
    if (isDetached(bufferOf(view))) throw new TypeError("respondWithNewView: the view's buffer is detached");
    respondWithNewView(request.controller, view);
  }
}
idl(ReadableStreamBYOBRequest);
Object.defineProperty(ReadableStreamBYOBRequest, "length", { value: 0, configurable: true });

export class ReadableByteStreamController {
  #controller;
  constructor(token, controller) {
    illegal(token);
    this.#controller = controller;
  }
  get byobRequest() { return byobRequestOf(this.#controller)?.object ?? null; }
  get desiredSize() { return byteDesiredSize(this.#controller); }
  close() {
    const controller = this.#controller;
    if (controller.closeRequested) throw new TypeError("close: the stream is closing already");
    if (controller.stream.state !== "readable") throw new TypeError("close: the stream is closed or errored");
    byteClose(controller);
  }
  enqueue(chunk) {
    const controller = this.#controller;
    required(arguments.length, 1, "enqueue");
    chunk = arrayBufferView(chunk, "enqueue: the chunk");
    if (byteLengthOf(chunk) === 0) throw new TypeError("enqueue: the chunk is empty");
    if (bufferByteLength(bufferOf(chunk)) === 0) throw new TypeError("enqueue: the chunk's buffer is empty");
    if (controller.closeRequested) throw new TypeError("enqueue: the stream is closing already");
    if (controller.stream.state !== "readable") throw new TypeError("enqueue: the stream is closed or errored");
    byteEnqueue(controller, chunk);
  }
  error(e = undefined) { byteError(this.#controller, e); }
}
idl(ReadableByteStreamController);
Object.defineProperty(ReadableByteStreamController, "length", { value: 0, configurable: true });

// SetUpReadableByteStreamController. The algorithms are `{ start, pull, cancel }`.
export function setUpByteController(stream, { start = () => undefined, pull = nothing, cancel = nothing }, highWaterMark, autoAllocateChunkSize) {
  const controller = {
    object: undefined, stream, isByte: true, steps: STEPS, ...newByteQueue(), byobRequest: null, started: false, closeRequested: false,
    pullAgain: false, pulling: false, strategyHWM: highWaterMark, pullAlgorithm: pull, cancelAlgorithm: cancel, autoAllocateChunkSize,
    pendingPullIntos: [],
  };
  stream.controller = controller;
  const startResult = start(controller);
  upon(resolvedWith(startResult), () => {
    controller.started = true;
    callPullIfNeeded(controller);
  }, (reason) => byteError(controller, reason));
}

const nothing = () => resolvedWith(undefined);

// SetUpReadableByteStreamControllerFromUnderlyingSource.
export function setUpByteFromUnderlyingSource(stream, source, { autoAllocateChunkSize, cancel, pull, start }, highWaterMark) {
  const objectOf = (controller) => (controller.object ??= Reflect.construct(ReadableByteStreamController, [HOST, controller]));
  const calling = (method, args) => promising(() => resolvedWith(apply(method, source, args)));
  if (autoAllocateChunkSize === 0) throw new TypeError("The underlying source's autoAllocateChunkSize is 0");
  setUpByteController(stream, {
    __proto__: null,
    start: start === undefined ? undefined : (controller) => apply(start, source, [objectOf(controller)]),
    pull: pull === undefined ? undefined : (controller) => calling(pull, [objectOf(controller)]),
    cancel: cancel === undefined ? undefined : (reason) => calling(cancel, [reason]),
  }, highWaterMark, autoAllocateChunkSize);
}

const STEPS = {
  // [[CancelSteps]].
  cancel(controller, reason) {
    clearPendingPullIntos(controller);
    Object.assign(controller, newByteQueue());
    const result = controller.cancelAlgorithm(reason);
    clearAlgorithms(controller);
    return result;
  },
  // [[PullSteps]].
  pull(controller, readRequest) {
    const { stream } = controller;
    if (controller.queueTotalSize > 0) {
      fillReadRequestFromQueue(controller, readRequest);
      return;
    }
    const { autoAllocateChunkSize } = controller;
    if (autoAllocateChunkSize !== undefined) {
      let buffer;
      try {
        buffer = new ArrayBuffer(autoAllocateChunkSize);
      } catch (reason) {
        readRequest.error(reason);
        return;
      }
      controller.pendingPullIntos.push({
        buffer, bufferByteLength: autoAllocateChunkSize, byteOffset: 0, byteLength: autoAllocateChunkSize, bytesFilled: 0,
        minimumFill: 1, elementSize: 1, viewConstructor: Uint8Array, readerType: "default",
      });
    }
    addRequest(stream, readRequest);
    callPullIfNeeded(controller);
  },
  // [[ReleaseSteps]].
  release(controller) {
    if (controller.pendingPullIntos.length > 0) {
      const [first] = controller.pendingPullIntos;
      first.readerType = "none";
      controller.pendingPullIntos = [first];
    }
  },
};

// ReadableByteStreamControllerCallPullIfNeeded.
export function callPullIfNeeded(controller) {
  if (!shouldCallPull(controller)) return;
  if (controller.pulling) {
    controller.pullAgain = true;
    return;
  }
  controller.pulling = true;
  upon(controller.pullAlgorithm(controller), () => {
    controller.pulling = false;
    if (controller.pullAgain) {
      controller.pullAgain = false;
      callPullIfNeeded(controller);
    }
  }, (e) => byteError(controller, e));
}

// ReadableByteStreamControllerShouldCallPull.
function shouldCallPull(controller) {
  const { stream } = controller;
  if (stream.state !== "readable" || controller.closeRequested || !controller.started) return false;
  if (stream.reader !== undefined && numRequests(stream) > 0) return true;
  return byteDesiredSize(controller) > 0;
}

// ReadableByteStreamControllerClearAlgorithms.
export function clearAlgorithms(controller) {
  controller.pullAlgorithm = undefined;
  controller.cancelAlgorithm = undefined;
}

// ReadableByteStreamControllerClose.
export function byteClose(controller) {
  const { stream } = controller;
  if (controller.closeRequested || stream.state !== "readable") return;
  if (controller.queueTotalSize > 0) {
    controller.closeRequested = true;
    return;
  }
  if (controller.pendingPullIntos.length > 0) {
    const [first] = controller.pendingPullIntos;
    if (first.bytesFilled % first.elementSize !== 0) {
      const e = new TypeError("The stream is closed in the middle of an element of the view that is filled");
      byteError(controller, e);
      throw e;
    }
  }
  clearAlgorithms(controller);
  close(stream);
}

// ReadableByteStreamControllerEnqueue.
export function byteEnqueue(controller, chunk) {
  const { stream } = controller;
  if (controller.closeRequested || stream.state !== "readable") return;
  const buffer = bufferOf(chunk);
  const byteOffset = byteOffsetOf(chunk);
  const byteLength = byteLengthOf(chunk);
  if (isDetached(buffer)) throw new TypeError("enqueue: the chunk's buffer is detached");
  const transferredBuffer = transferArrayBuffer(buffer);
  if (controller.pendingPullIntos.length > 0) {
    const [first] = controller.pendingPullIntos;
    if (isDetached(first.buffer)) throw new TypeError("enqueue: the buffer of the BYOB request is detached");
    invalidateByobRequest(controller);
    first.buffer = transferArrayBuffer(first.buffer);
    if (first.readerType === "none") enqueueDetachedDescriptor(controller, first);
  }
  if (hasDefaultReader(stream)) {
    while (numRequests(stream) > 0 && controller.queueTotalSize > 0) {
      // ReadableByteStreamControllerProcessReadRequestsUsingQueue.
      fillReadRequestFromQueue(controller, stream.reader.requests.shift());
    }
    if (numRequests(stream) === 0) {
      enqueueChunkToQueue(controller, transferredBuffer, byteOffset, byteLength);
    } else {
      if (controller.pendingPullIntos.length > 0) shiftPendingPullInto(controller);
      fulfillRequest(stream, new Uint8Array(transferredBuffer, byteOffset, byteLength), false);
    }
  } else if (hasByobReader(stream)) {
    enqueueChunkToQueue(controller, transferredBuffer, byteOffset, byteLength);
    for (const filled of processDescriptorsUsingQueue(controller)) commitDescriptor(stream, filled);
  } else {
    enqueueChunkToQueue(controller, transferredBuffer, byteOffset, byteLength);
  }
  callPullIfNeeded(controller);
}

// ReadableByteStreamControllerError.
export function byteError(controller, e) {
  const { stream } = controller;
  if (stream.state !== "readable") return;
  clearPendingPullIntos(controller);
  Object.assign(controller, newByteQueue());
  clearAlgorithms(controller);
  error(stream, e);
}

// ReadableByteStreamControllerGetDesiredSize.
export function byteDesiredSize(controller) {
  const { state } = controller.stream;
  if (state === "errored") return null;
  return state === "closed" ? 0 : controller.strategyHWM - controller.queueTotalSize;
}

// ReadableByteStreamControllerGetBYOBRequest: `{ controller, view, object }`, or null.
export function byobRequestOf(controller) {
  if (controller.byobRequest === null && controller.pendingPullIntos.length > 0) {
    const [{ buffer, byteOffset, byteLength, bytesFilled }] = controller.pendingPullIntos;
    const request = { controller, view: new Uint8Array(buffer, byteOffset + bytesFilled, byteLength - bytesFilled), object: undefined };
    request.object = Reflect.construct(ReadableStreamBYOBRequest, [HOST, request]);
    controller.byobRequest = request;
  }
  return controller.byobRequest;
}

// ReadableByteStreamControllerInvalidateBYOBRequest.
export function invalidateByobRequest(controller) {
  const request = controller.byobRequest;
  if (request === null) return;
  request.controller = undefined;
  request.view = null;
  controller.byobRequest = null;
}

// ReadableByteStreamControllerRespond.
export function controllerRespond(controller, bytesWritten) {
  const [first] = controller.pendingPullIntos;
  if (controller.stream.state === "closed") {
    if (bytesWritten !== 0) throw new TypeError("respond: the stream is closed, so that there can be no bytes");
  } else {
    if (bytesWritten === 0) throw new TypeError("respond: the number of bytes is 0");
    if (first.bytesFilled + bytesWritten > first.byteLength) throw new RangeError("respond: there are more bytes than the view has");
  }
  first.buffer = transferArrayBuffer(first.buffer);
  respondInternal(controller, bytesWritten);
}

// ReadableByteStreamControllerRespondWithNewView.
export function respondWithNewView(controller, view) {
  const [first] = controller.pendingPullIntos;
  const byteLength = byteLengthOf(view);
  if (controller.stream.state === "closed") {
    if (byteLength !== 0) throw new TypeError("respondWithNewView: the stream is closed, so that there can be no bytes");
  } else if (byteLength === 0) {
    throw new TypeError("respondWithNewView: the view is empty");
  }
  if (first.byteOffset + first.bytesFilled !== byteOffsetOf(view)) throw new RangeError("respondWithNewView: the view begins elsewhere");
  const buffer = bufferOf(view);
  if (first.bufferByteLength !== bufferByteLength(buffer)) throw new RangeError("respondWithNewView: the view's buffer has another length");
  if (first.bytesFilled + byteLength > first.byteLength) throw new RangeError("respondWithNewView: the view is too long");
  first.buffer = transferArrayBuffer(buffer);
  respondInternal(controller, byteLength);
}

// ReadableByteStreamControllerRespondInternal.
function respondInternal(controller, bytesWritten) {
  const [first] = controller.pendingPullIntos;
  invalidateByobRequest(controller);
  if (controller.stream.state === "closed") respondInClosedState(controller, first);
  else respondInReadableState(controller, bytesWritten, first);
  callPullIfNeeded(controller);
}

// ReadableByteStreamControllerRespondInClosedState.
function respondInClosedState(controller, first) {
  const { stream } = controller;
  if (first.readerType === "none") shiftPendingPullInto(controller);
  if (hasByobReader(stream)) {
    const filled = [];
    while (filled.length < numRequests(stream)) filled.push(shiftPendingPullInto(controller));
    for (const descriptor of filled) commitDescriptor(stream, descriptor);
  }
}

// ReadableByteStreamControllerRespondInReadableState.
function respondInReadableState(controller, bytesWritten, descriptor) {
  // ReadableByteStreamControllerFillHeadPullIntoDescriptor.
  descriptor.bytesFilled += bytesWritten;
  const { stream } = controller;
  if (descriptor.readerType === "none") {
    enqueueDetachedDescriptor(controller, descriptor);
    for (const filled of processDescriptorsUsingQueue(controller)) commitDescriptor(stream, filled);
    return;
  }
  if (descriptor.bytesFilled < descriptor.minimumFill) return;
  shiftPendingPullInto(controller);
  const remainder = descriptor.bytesFilled % descriptor.elementSize;
  if (remainder > 0) {
    const end = descriptor.byteOffset + descriptor.bytesFilled;
    enqueueClonedChunkToQueue(controller, descriptor.buffer, end - remainder, remainder);
  }
  descriptor.bytesFilled -= remainder;
  const filled = processDescriptorsUsingQueue(controller);
  commitDescriptor(stream, descriptor);
  for (const other of filled) commitDescriptor(stream, other);
}


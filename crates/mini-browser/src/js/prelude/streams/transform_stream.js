// TransformStream. (Streams, "Transform streams".) A stream and its controller here are records with the
// standard's internal slots.

import { newPromise, promising, react, resolvedWith } from "../promises.js";
import { HOST, idl, illegal } from "../webidl.js";
import {
  canCloseOrEnqueue, controllerClose, controllerEnqueue as readableEnqueue, controllerError as readableError, desiredSize, hasBackpressure,
} from "./default_controller.js";
import { callbacksOf, extractHighWaterMark, extractSizeAlgorithm, queuingStrategy } from "./queue.js";
import { newReadable } from "./readable_ops.js";
import { readableObject } from "./readable_stream.js";
import { makeTransferablePair } from "./transfer.js";
import { controllerErrorIfNeeded } from "./writable_controller.js";
import { newWritable } from "./writable_ops.js";
import { writableObject } from "./writable_stream.js";

const { apply } = Reflect;
let recordOf, isOne;

export class TransformStream {
  #stream;
  constructor(transformer = undefined, writableStrategy = undefined, readableStrategy = undefined) {
    if (transformer === HOST) {
      this.#stream = writableStrategy;
      return;
    }
    if (transformer !== undefined && (typeof transformer !== "object" || transformer === null) && typeof transformer !== "function") {
      throw new TypeError("TransformStream: the transformer is not an object");
    }
    const forWritable = queuingStrategy(writableStrategy);
    const forReadable = queuingStrategy(readableStrategy);
    // Steps 1 to 4.
    const given = transformer === undefined ? null : transformer;
    const { cancel, flush, readableType, start, transform, writableType } = given === null ? { __proto__: null } : transformerOf(given);
    if (readableType !== undefined) throw new RangeError("TransformStream: the transformer's readableType is reserved");
    if (writableType !== undefined) throw new RangeError("TransformStream: the transformer's writableType is reserved");
    // Steps 5 to 8.
    const readableHighWaterMark = extractHighWaterMark(forReadable, 0);
    const readableSizeAlgorithm = extractSizeAlgorithm(forReadable);
    const writableHighWaterMark = extractHighWaterMark(forWritable, 1);
    const writableSizeAlgorithm = extractSizeAlgorithm(forWritable);
    // Steps 9 to 13.
    const startPromise = newPromise();
    this.#stream = initialize(startPromise.promise, writableHighWaterMark, writableSizeAlgorithm, readableHighWaterMark, readableSizeAlgorithm);
    const { controller } = this.#stream;
    const object = controllerObject(controller);
    const calling = (method, args) => promising(() => resolvedWith(apply(method, given, args)));
    if (transform !== undefined) controller.transformAlgorithm = (chunk) => calling(transform, [chunk, object]);
    if (flush !== undefined) controller.flushAlgorithm = () => calling(flush, [object]);
    if (cancel !== undefined) controller.cancelAlgorithm = (reason) => calling(cancel, [reason]);
    startPromise.resolve(start === undefined ? undefined : apply(start, given, [object]));
  }
  get readable() { return readableObject(this.#stream.readable); }
  get writable() { return writableObject(this.#stream.writable); }

  static {
    recordOf = (value) => value.#stream;
    isOne = (value) => typeof value === "object" && value !== null && #stream in value;
  }
}
idl(TransformStream);

function transformerOf(transformer) {
  const { cancel, flush } = callbacksOf(transformer, ["cancel", "flush"], "The transformer");
  const { readableType } = transformer;
  const { start, transform } = callbacksOf(transformer, ["start", "transform"], "The transformer");
  const { writableType } = transformer;
  return { __proto__: null, cancel, flush, readableType, start, transform, writableType };
}

export class TransformStreamDefaultController {
  #controller;
  constructor(token, controller) {
    illegal(token);
    this.#controller = controller;
  }
  get desiredSize() { return desiredSize(this.#controller.stream.readable.controller); }
  enqueue(chunk = undefined) { transformEnqueue(this.#controller, chunk); }
  error(reason = undefined) { errorStream(this.#controller.stream, reason); }
  terminate() { terminate(this.#controller); }
}
idl(TransformStreamDefaultController);
Object.defineProperty(TransformStreamDefaultController, "length", { value: 0, configurable: true });

const controllerObject = (controller) => Reflect.construct(TransformStreamDefaultController, [HOST, controller]);

// *Set up* a TransformStream: the algorithms are `{ transform(chunk, controller), flush(controller) }`, which
// may throw. Gives the stream's record.
export function setUpTransform({ transform, flush }) {
  const stream = initialize(resolvedWith(undefined), 1, () => 1, 0, () => 1);
  const { controller } = stream;
  controller.transformAlgorithm = (chunk) => promising(() => resolvedWith(transform(chunk, controller)));
  if (flush !== undefined) controller.flushAlgorithm = () => promising(() => resolvedWith(flush(controller)));
  return stream;
}

// InitializeTransformStream and SetUpTransformStreamDefaultController.
function initialize(startPromise, writableHighWaterMark, writableSizeAlgorithm, readableHighWaterMark, readableSizeAlgorithm) {
  const stream = { readable: undefined, writable: undefined, backpressure: undefined, backpressureChangePromise: undefined, controller: undefined };
  const controller = {
    stream, finishPromise: undefined,
    transformAlgorithm: (chunk) => promising(() => resolvedWith(transformEnqueue(controller, chunk))),
    flushAlgorithm: () => resolvedWith(undefined),
    cancelAlgorithm: () => resolvedWith(undefined),
  };
  const start = () => startPromise;
  stream.writable = newWritable({
    __proto__: null,
    start,
    write: (chunk) => sinkWrite(stream, chunk),
    abort: (reason) => sinkAbort(stream, reason),
    close: () => sinkClose(stream),
  }, writableHighWaterMark, writableSizeAlgorithm);
  stream.readable = newReadable({
    __proto__: null,
    start,
    pull: () => sourcePull(stream),
    cancel: (reason) => sourceCancel(stream, reason),
  }, readableHighWaterMark, readableSizeAlgorithm);
  setBackpressure(stream, true);
  stream.controller = controller;
  return stream;
}

// TransformStreamError.
function errorStream(stream, e) {
  readableError(stream.readable.controller, e);
  errorWritableAndUnblockWrite(stream, e);
}

// TransformStreamErrorWritableAndUnblockWrite.
function errorWritableAndUnblockWrite(stream, e) {
  clearAlgorithms(stream.controller);
  controllerErrorIfNeeded(stream.writable.controller, e);
  unblockWrite(stream);
}

// TransformStreamUnblockWrite.
function unblockWrite(stream) {
  if (stream.backpressure) setBackpressure(stream, false);
}

// TransformStreamSetBackpressure.
function setBackpressure(stream, backpressure) {
  stream.backpressureChangePromise?.resolve(undefined);
  stream.backpressureChangePromise = newPromise();
  stream.backpressure = backpressure;
}

// TransformStreamDefaultControllerClearAlgorithms.
function clearAlgorithms(controller) {
  controller.transformAlgorithm = undefined;
  controller.flushAlgorithm = undefined;
  controller.cancelAlgorithm = undefined;
}

// TransformStreamDefaultControllerEnqueue.
export function transformEnqueue({ stream }, chunk) {
  const readableController = stream.readable.controller;
  if (!canCloseOrEnqueue(readableController)) throw new TypeError("enqueue: the readable side is closed or errored");
  try {
    readableEnqueue(readableController, chunk);
  } catch (e) {
    errorWritableAndUnblockWrite(stream, e);
    throw stream.readable.storedError;
  }
  if (hasBackpressure(readableController) !== stream.backpressure) setBackpressure(stream, true);
}

// TransformStreamDefaultControllerPerformTransform.
function performTransform(controller, chunk) {
  return react(controller.transformAlgorithm(chunk), undefined, (r) => {
    errorStream(controller.stream, r);
    throw r;
  });
}

// TransformStreamDefaultControllerTerminate.
function terminate({ stream }) {
  controllerClose(stream.readable.controller);
  errorWritableAndUnblockWrite(stream, new TypeError("The transform has been terminated"));
}

// TransformStreamDefaultSinkWriteAlgorithm.
function sinkWrite(stream, chunk) {
  const { controller } = stream;
  if (!stream.backpressure) return performTransform(controller, chunk);
  return react(stream.backpressureChangePromise.promise, () => {
    const { writable } = stream;
    if (writable.state === "erroring") throw writable.storedError;
    return performTransform(controller, chunk);
  });
}

// The algorithms that finish the stream from one of its sides, once.
function finish(stream, run, fulfilled, rejected) {
  const { controller } = stream;
  if (controller.finishPromise !== undefined) return controller.finishPromise.promise;
  const finishPromise = newPromise();
  controller.finishPromise = finishPromise;
  const promise = run(controller);
  clearAlgorithms(controller);
  react(promise, () => fulfilled(finishPromise), (r) => {
    rejected(r);
    finishPromise.reject(r);
  });
  return finishPromise.promise;
}

// TransformStreamDefaultSinkAbortAlgorithm.
function sinkAbort(stream, reason) {
  const { readable } = stream;
  return finish(stream, (controller) => controller.cancelAlgorithm(reason), (finishPromise) => {
    if (readable.state === "errored") {
      finishPromise.reject(readable.storedError);
    } else {
      readableError(readable.controller, reason);
      finishPromise.resolve(undefined);
    }
  }, (r) => readableError(readable.controller, r));
}

// TransformStreamDefaultSinkCloseAlgorithm.
function sinkClose(stream) {
  const { readable } = stream;
  return finish(stream, (controller) => controller.flushAlgorithm(), (finishPromise) => {
    if (readable.state === "errored") {
      finishPromise.reject(readable.storedError);
    } else {
      controllerClose(readable.controller);
      finishPromise.resolve(undefined);
    }
  }, (r) => readableError(readable.controller, r));
}

// TransformStreamDefaultSourceCancelAlgorithm.
function sourceCancel(stream, reason) {
  const { writable } = stream;
  return finish(stream, (controller) => controller.cancelAlgorithm(reason), (finishPromise) => {
    if (writable.state === "errored") {
      finishPromise.reject(writable.storedError);
    } else {
      controllerErrorIfNeeded(writable.controller, reason);
      unblockWrite(stream);
      finishPromise.resolve(undefined);
    }
  }, (r) => {
    controllerErrorIfNeeded(writable.controller, r);
    unblockWrite(stream);
  });
}

// TransformStreamDefaultSourcePullAlgorithm.
function sourcePull(stream) {
  setBackpressure(stream, false);
  return stream.backpressureChangePromise.promise;
}

// An object for a pair of sides that were transferred.
const adopt = (readable, writable) => Reflect.construct(TransformStream, [HOST, { readable, writable }]);

makeTransferablePair(TransformStream, "TransformStream", isOne, recordOf, adopt);

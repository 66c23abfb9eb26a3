// WritableStreamDefaultController. (Streams, "The WritableStreamDefaultController class" and its abstract
// operations.) A controller here is a record with the standard's internal slots.

import { AbortController } from "../abort.js";
import { promising, resolvedWith, upon } from "../promises.js";
import { HOST, idl, illegal } from "../webidl.js";
import { dequeueValue, enqueueValueWithSize, peekQueueValue, resetQueue } from "./queue.js";
import {
  closeQueuedOrInFlight, dealWithRejection, finishErroring, finishInFlightClose, finishInFlightCloseWithError, finishInFlightWrite,
  finishInFlightWriteWithError, markCloseRequestInFlight, markFirstWriteRequestInFlight, startErroring, updateBackpressure,
} from "./writable_ops.js";

const { apply } = Reflect;

export class WritableStreamDefaultController {
  #controller;
  constructor(token, controller) {
    illegal(token);
    this.#controller = controller;
  }
  get signal() { return this.#controller.abortController.signal; }
  error(e = undefined) {
    const controller = this.#controller;
    if (controller.stream.state === "writable") controllerError(controller, e);
  }
}
idl(WritableStreamDefaultController);
Object.defineProperty(WritableStreamDefaultController, "length", { value: 0, configurable: true });

// The close sentinel.
const CLOSE = Symbol("close");

// SetUpWritableStreamDefaultController. The algorithms are `{ start, write, close, abort }`; those that
// are missing do nothing.
export function setUpController(stream, { start = () => undefined, write, close, abort }, highWaterMark, sizeAlgorithm) {
  const controller = {
    object: undefined, stream, queue: [], queueTotalSize: 0, abortController: new AbortController(), started: false,
    strategyHWM: highWaterMark, strategySizeAlgorithm: sizeAlgorithm, writeAlgorithm: write, closeAlgorithm: close, abortAlgorithm: abort,
  };
  stream.controller = controller;
  updateBackpressure(stream, getBackpressure(controller));
  const startResult = start(controller);
  upon(resolvedWith(startResult), () => {
    controller.started = true;
    advanceQueueIfNeeded(controller);
  }, (reason) => {
    controller.started = true;
    dealWithRejection(stream, reason);
  });
}

// SetUpWritableStreamDefaultControllerFromUnderlyingSink.
export function setUpFromUnderlyingSink(stream, sink, { abort, close, start, write }, highWaterMark, sizeAlgorithm) {
  const objectOf = (controller) => (controller.object ??= Reflect.construct(WritableStreamDefaultController, [HOST, controller]));
  const calling = (method, args) => promising(() => resolvedWith(apply(method, sink, args)));
  const nothing = () => resolvedWith(undefined);
  setUpController(stream, {
    __proto__: null,
    start: start === undefined ? undefined : (controller) => apply(start, sink, [objectOf(controller)]),
    write: write === undefined ? nothing : (chunk, controller) => calling(write, [chunk, objectOf(controller)]),
    close: close === undefined ? nothing : () => calling(close, []),
    abort: abort === undefined ? nothing : (reason) => calling(abort, [reason]),
  }, highWaterMark, sizeAlgorithm);
}

// [[AbortSteps]].
export function abortSteps(controller, reason) {
  const result = controller.abortAlgorithm(reason);
  clearAlgorithms(controller);
  return result;
}

// [[ErrorSteps]].
export const errorSteps = resetQueue;

// WritableStreamDefaultControllerClearAlgorithms.
function clearAlgorithms(controller) {
  controller.writeAlgorithm = undefined;
  controller.closeAlgorithm = undefined;
  controller.abortAlgorithm = undefined;
  controller.strategySizeAlgorithm = undefined;
}

// WritableStreamDefaultControllerClose.
export function controllerClose(controller) {
  enqueueValueWithSize(controller, CLOSE, 0);
  advanceQueueIfNeeded(controller);
}

// WritableStreamDefaultControllerGetChunkSize.
export function getChunkSize(controller, chunk) {
  if (controller.strategySizeAlgorithm === undefined) return 1;
  try {
    return controller.strategySizeAlgorithm(chunk);
  } catch (error) {
    controllerErrorIfNeeded(controller, error);
    return 1;
  }
}

export const getDesiredSize = (controller) => controller.strategyHWM - controller.queueTotalSize;

const getBackpressure = (controller) => getDesiredSize(controller) <= 0;

// WritableStreamDefaultControllerWrite.
export function controllerWrite(controller, chunk, chunkSize) {
  try {
    enqueueValueWithSize(controller, chunk, chunkSize);
  } catch (error) {
    controllerErrorIfNeeded(controller, error);
    return;
  }
  const { stream } = controller;
  if (!closeQueuedOrInFlight(stream) && stream.state === "writable") updateBackpressure(stream, getBackpressure(controller));
  advanceQueueIfNeeded(controller);
}

// WritableStreamDefaultControllerAdvanceQueueIfNeeded.
export function advanceQueueIfNeeded(controller) {
  const { stream } = controller;
  if (!controller.started || stream.inFlightWriteRequest !== undefined) return;
  if (stream.state === "erroring") {
    finishErroring(stream);
    return;
  }
  if (controller.queue.length === 0) return;
  const value = peekQueueValue(controller);
  if (value === CLOSE) processClose(controller);
  else processWrite(controller, value);
}

// WritableStreamDefaultControllerErrorIfNeeded.
export function controllerErrorIfNeeded(controller, error) {
  if (controller.stream.state === "writable") controllerError(controller, error);
}

// WritableStreamDefaultControllerError.
export function controllerError(controller, error) {
  const { stream } = controller;
  clearAlgorithms(controller);
  startErroring(stream, error);
}

// WritableStreamDefaultControllerProcessClose.
function processClose(controller) {
  const { stream } = controller;
  markCloseRequestInFlight(stream);
  dequeueValue(controller);
  const sinkClosePromise = controller.closeAlgorithm();
  clearAlgorithms(controller);
  upon(sinkClosePromise, () => finishInFlightClose(stream), (reason) => finishInFlightCloseWithError(stream, reason));
}

// WritableStreamDefaultControllerProcessWrite.
function processWrite(controller, chunk) {
  const { stream } = controller;
  markFirstWriteRequestInFlight(stream);
  upon(controller.writeAlgorithm(chunk, controller), () => {
    finishInFlightWrite(stream);
    const { state } = stream;
    dequeueValue(controller);
    if (!closeQueuedOrInFlight(stream) && state === "writable") updateBackpressure(stream, getBackpressure(controller));
    advanceQueueIfNeeded(controller);
  }, (reason) => {
    if (stream.state === "writable") clearAlgorithms(controller);
    finishInFlightWriteWithError(stream, reason);
  });
}

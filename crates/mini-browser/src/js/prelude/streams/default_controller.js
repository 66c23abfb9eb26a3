// ReadableStreamDefaultController. (Streams, "The ReadableStreamDefaultController class" and its abstract
// operations.) A controller here is a record with the standard's internal slots.

import { promising, resolvedWith, upon } from "../promises.js";
import { HOST, idl, illegal } from "../webidl.js";
import { dequeueValue, enqueueValueWithSize, resetQueue } from "./queue.js";
import { addRequest, close, error, fulfillRequest, isLocked, numRequests } from "./readable_ops.js";

const { apply } = Reflect;

export class ReadableStreamDefaultController {
  #controller;
  constructor(token, controller) {
    illegal(token);
    this.#controller = controller;
  }
  get desiredSize() { return desiredSize(this.#controller); }
  close() {
    const controller = this.#controller;
    if (!canCloseOrEnqueue(controller)) throw new TypeError("close: the stream is closing, closed or errored");
    controllerClose(controller);
  }
  enqueue(chunk = undefined) {
    const controller = this.#controller;
    if (!canCloseOrEnqueue(controller)) throw new TypeError("enqueue: the stream is closing, closed or errored");
    controllerEnqueue(controller, chunk);
  }
  error(e = undefined) { controllerError(this.#controller, e); }
}
idl(ReadableStreamDefaultController);
Object.defineProperty(ReadableStreamDefaultController, "length", { value: 0, configurable: true });

// SetUpReadableStreamDefaultController. The algorithms are `{ start, pull, cancel }`; those that are
// missing do nothing.
export function setUpDefaultController(stream, { start = () => undefined, pull = nothing, cancel = nothing }, highWaterMark, sizeAlgorithm) {
  const controller = {
    object: undefined, stream, isByte: false, steps: STEPS, queue: [], queueTotalSize: 0, started: false, closeRequested: false,
    pullAgain: false, pulling: false, strategySizeAlgorithm: sizeAlgorithm, strategyHWM: highWaterMark, pullAlgorithm: pull, cancelAlgorithm: cancel,
  };
  stream.controller = controller;
  const startResult = start(controller);
  upon(resolvedWith(startResult), () => {
    controller.started = true;
    callPullIfNeeded(controller);
  }, (reason) => controllerError(controller, reason));
}

const nothing = () => resolvedWith(undefined);

// SetUpReadableStreamDefaultControllerFromUnderlyingSource.
export function setUpFromUnderlyingSource(stream, source, { cancel, pull, start }, highWaterMark, sizeAlgorithm) {
  const objectOf = (controller) => (controller.object ??= Reflect.construct(ReadableStreamDefaultController, [HOST, controller]));
  const calling = (method, args) => promising(() => resolvedWith(apply(method, source, args)));
  setUpDefaultController(stream, {
    __proto__: null,
    start: start === undefined ? undefined : (controller) => apply(start, source, [objectOf(controller)]),
    pull: pull === undefined ? undefined : (controller) => calling(pull, [objectOf(controller)]),
    cancel: cancel === undefined ? undefined : (reason) => calling(cancel, [reason]),
  }, highWaterMark, sizeAlgorithm);
}

const STEPS = {
  // [[CancelSteps]].
  cancel(controller, reason) {
    resetQueue(controller);
    const result = controller.cancelAlgorithm(reason);
    clearAlgorithms(controller);
    return result;
  },
  // [[PullSteps]].
  pull(controller, readRequest) {
    const { stream } = controller;
    if (controller.queue.length > 0) {
      const chunk = dequeueValue(controller);
      if (controller.closeRequested && controller.queue.length === 0) {
        clearAlgorithms(controller);
        close(stream);
      } else {
        callPullIfNeeded(controller);
      }
      readRequest.chunk(chunk);
    } else {
      addRequest(stream, readRequest);
      callPullIfNeeded(controller);
    }
  },
  // [[ReleaseSteps]].
  release() {},
};

// ReadableStreamDefaultControllerCallPullIfNeeded.
function callPullIfNeeded(controller) {
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
  }, (e) => controllerError(controller, e));
}

// ReadableStreamDefaultControllerShouldCallPull.
function shouldCallPull(controller) {
  const { stream } = controller;
  if (!canCloseOrEnqueue(controller) || !controller.started) return false;
  if (isLocked(stream) && numRequests(stream) > 0) return true;
  return desiredSize(controller) > 0;
}

function clearAlgorithms(controller) {
  controller.pullAlgorithm = undefined;
  controller.cancelAlgorithm = undefined;
  controller.strategySizeAlgorithm = undefined;
}

// ReadableStreamDefaultControllerClose.
export function controllerClose(controller) {
  if (!canCloseOrEnqueue(controller)) return;
  controller.closeRequested = true;
  if (controller.queue.length === 0) {
    clearAlgorithms(controller);
    close(controller.stream);
  }
}

// ReadableStreamDefaultControllerEnqueue.
export function controllerEnqueue(controller, chunk) {
  const { stream } = controller;
  if (!canCloseOrEnqueue(controller)) return;
  if (isLocked(stream) && numRequests(stream) > 0) {
    fulfillRequest(stream, chunk, false);
  } else {
    try {
      const chunkSize = controller.strategySizeAlgorithm(chunk);
      enqueueValueWithSize(controller, chunk, chunkSize);
    } catch (reason) {
      controllerError(controller, reason);
      throw reason;
    }
  }
  callPullIfNeeded(controller);
}

// ReadableStreamDefaultControllerError.
export function controllerError(controller, e) {
  const { stream } = controller;
  if (stream.state !== "readable") return;
  resetQueue(controller);
  clearAlgorithms(controller);
  error(stream, e);
}

// ReadableStreamDefaultControllerGetDesiredSize.
export function desiredSize(controller) {
  const { state } = controller.stream;
  if (state === "errored") return null;
  return state === "closed" ? 0 : controller.strategyHWM - controller.queueTotalSize;
}

export const hasBackpressure = (controller) => !shouldCallPull(controller);

export const canCloseOrEnqueue = (controller) => !controller.closeRequested && controller.stream.state === "readable";

// The queue of a byte stream and the views that it is to fill. (Streams, "Byte stream controllers".)

import { bufferByteLength, bufferOf, byteLengthOf, byteOffsetOf, isDetached, sliceOf, transferArrayBuffer, typedArrayName } from "../buffers.js";
import { byteError, callPullIfNeeded, clearAlgorithms, invalidateByobRequest } from "./byte_controller.js";
import { addRequest, close, fulfillRequest } from "./readable_ops.js";

// Of the realm: the constructors of views by their names.
const CONSTRUCTORS = { __proto__: null };
for (const Class of [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array,
  ...(typeof Float16Array === "function" ? [Float16Array] : []),
]) {
  CONSTRUCTORS[Class.name] = Class;
}

export const newByteQueue = () => ({ queue: [], queueTotalSize: 0 });

// ReadableByteStreamControllerPullInto.
export function pullInto(controller, view, min, readIntoRequest) {
  const { stream } = controller;
  const name = typedArrayName(view);
  const elementSize = name === undefined ? 1 : CONSTRUCTORS[name].BYTES_PER_ELEMENT;
  const viewConstructor = name === undefined ? DataView : CONSTRUCTORS[name];
  const byteOffset = byteOffsetOf(view);
  const byteLength = byteLengthOf(view);
  let buffer;
  try {
    if (isDetached(bufferOf(view))) throw new TypeError("read: the view's buffer is detached");
    buffer = transferArrayBuffer(bufferOf(view));
  } catch (reason) {
    readIntoRequest.error(reason);
    return;
  }
  const descriptor = {
    buffer, bufferByteLength: bufferByteLength(buffer), byteOffset, byteLength, bytesFilled: 0, minimumFill: min * elementSize,
    elementSize, viewConstructor, readerType: "byob",
  };
  if (controller.pendingPullIntos.length > 0) {
    controller.pendingPullIntos.push(descriptor);
    addRequest(stream, readIntoRequest);
    return;
  }
  if (stream.state === "closed") {
    readIntoRequest.close(new viewConstructor(descriptor.buffer, descriptor.byteOffset, 0));
    return;
  }
  if (controller.queueTotalSize > 0) {
    if (fillDescriptorFromQueue(controller, descriptor)) {
      const filledView = convertDescriptor(descriptor);
      handleQueueDrain(controller);
      readIntoRequest.chunk(filledView);
      return;
    }
    if (controller.closeRequested) {
      const e = new TypeError("The stream is closed in the middle of an element of the view");
      byteError(controller, e);
      readIntoRequest.error(e);
      return;
    }
  }
  controller.pendingPullIntos.push(descriptor);
  addRequest(stream, readIntoRequest);
  callPullIfNeeded(controller);
}

// ReadableByteStreamControllerClearPendingPullIntos.
export function clearPendingPullIntos(controller) {
  invalidateByobRequest(controller);
  controller.pendingPullIntos = [];
}

// ReadableByteStreamControllerShiftPendingPullInto.
export const shiftPendingPullInto = (controller) => controller.pendingPullIntos.shift();

// ReadableByteStreamControllerCommitPullIntoDescriptor.
export function commitDescriptor(stream, descriptor) {
  fulfillRequest(stream, convertDescriptor(descriptor), stream.state === "closed");
}

// ReadableByteStreamControllerConvertPullIntoDescriptor.
function convertDescriptor({ buffer, byteOffset, bytesFilled, elementSize, viewConstructor }) {
  return new viewConstructor(transferArrayBuffer(buffer), byteOffset, bytesFilled / elementSize);
}

// ReadableByteStreamControllerEnqueueChunkToQueue.
export function enqueueChunkToQueue(controller, buffer, byteOffset, byteLength) {
  controller.queue.push({ buffer, byteOffset, byteLength });
  controller.queueTotalSize += byteLength;
}

// ReadableByteStreamControllerEnqueueClonedChunkToQueue.
export function enqueueClonedChunkToQueue(controller, buffer, byteOffset, byteLength) {
  let cloned;
  try {
    cloned = sliceOf(buffer, byteOffset, byteOffset + byteLength);
  } catch (reason) {
    byteError(controller, reason);
    throw reason;
  }
  enqueueChunkToQueue(controller, cloned, 0, byteLength);
}

// ReadableByteStreamControllerEnqueueDetachedPullIntoToQueue.
export function enqueueDetachedDescriptor(controller, descriptor) {
  if (descriptor.bytesFilled > 0) enqueueClonedChunkToQueue(controller, descriptor.buffer, descriptor.byteOffset, descriptor.bytesFilled);
  shiftPendingPullInto(controller);
}

// ReadableByteStreamControllerFillPullIntoDescriptorFromQueue: whether it is ready.
function fillDescriptorFromQueue(controller, descriptor) {
  const maxBytesToCopy = Math.min(controller.queueTotalSize, descriptor.byteLength - descriptor.bytesFilled);
  const maxBytesFilled = descriptor.bytesFilled + maxBytesToCopy;
  let totalBytesToCopyRemaining = maxBytesToCopy;
  let ready = false;
  const maxAlignedBytes = maxBytesFilled - maxBytesFilled % descriptor.elementSize;
  if (maxAlignedBytes >= descriptor.minimumFill) {
    totalBytesToCopyRemaining = maxAlignedBytes - descriptor.bytesFilled;
    ready = true;
  }
  const { queue } = controller;
  while (totalBytesToCopyRemaining > 0) {
    const [head] = queue;
    const bytesToCopy = Math.min(totalBytesToCopyRemaining, head.byteLength);
    const destination = new Uint8Array(descriptor.buffer, descriptor.byteOffset + descriptor.bytesFilled, bytesToCopy);
    destination.set(new Uint8Array(head.buffer, head.byteOffset, bytesToCopy));
    if (head.byteLength === bytesToCopy) {
      queue.shift();
    } else {
      head.byteOffset += bytesToCopy;
      head.byteLength -= bytesToCopy;
    }
    controller.queueTotalSize -= bytesToCopy;
    // ReadableByteStreamControllerFillHeadPullIntoDescriptor.
    descriptor.bytesFilled += bytesToCopy;
    totalBytesToCopyRemaining -= bytesToCopy;
  }
  return ready;
}

// ReadableByteStreamControllerFillReadRequestFromQueue.
export function fillReadRequestFromQueue(controller, readRequest) {
  const { buffer, byteOffset, byteLength } = controller.queue.shift();
  controller.queueTotalSize -= byteLength;
  handleQueueDrain(controller);
  readRequest.chunk(new Uint8Array(buffer, byteOffset, byteLength));
}

// ReadableByteStreamControllerHandleQueueDrain.
function handleQueueDrain(controller) {
  if (controller.queueTotalSize === 0 && controller.closeRequested) {
    clearAlgorithms(controller);
    close(controller.stream);
  } else {
    callPullIfNeeded(controller);
  }
}

// ReadableByteStreamControllerProcessPullIntoDescriptorsUsingQueue: those that are filled.
export function processDescriptorsUsingQueue(controller) {
  const filled = [];
  while (controller.pendingPullIntos.length > 0 && controller.queueTotalSize > 0) {
    const [first] = controller.pendingPullIntos;
    if (!fillDescriptorFromQueue(controller, first)) break;
    shiftPendingPullInto(controller);
    filled.push(first);
  }
  return filled;
}


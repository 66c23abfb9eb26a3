// Streams of bodies. (Fetch, "Bodies"; Streams, "Using streams in other specifications".)

import { typedArrayName } from "../buffers.js";
import { newPromise, promising, react, resolvedWith, setHandled, upon } from "../promises.js";
import { byteClose, byteEnqueue, byteError, controllerRespond } from "./byte_controller.js";
import { pipeTo } from "./pipe.js";
import { acquireDefaultReader, cancel, close, initialize, newReadableByte, read, readerCancel, release } from "./readable_ops.js";
import { readableObject, readableOf } from "./readable_stream.js";
import { tee } from "./tee.js";
import { setUpTransform, transformEnqueue } from "./transform_stream.js";

export { readableObject };
export const recordOf = (object) => readableOf(object, "The body");

// *Close* a stream with byte reading support.
function closeStream({ controller }) {
  byteClose(controller);
  if (controller.pendingPullIntos.length > 0) controllerRespond(controller, 0);
}

// A stream of bytes that are there already.
export function streamOfBytes(bytes) { return streamOfPromise(resolvedWith(bytes)); }

// A stream of bytes that a promise gives.
export function streamOfPromise(promise) {
  return streamOfChunks({ next: () => react(promise, (bytes) => {
    promise = resolvedWith(null);
    // The stream detaches what it is given.
    return bytes === null ? null : bytes.slice();
  }), cancel: () => undefined });
}

// Read ahead, so that a stream ends, and fails, also while nobody reads: one chunk.
const HIGH_WATER_MARK = 1;

// A stream of chunks: `{ next() -> promise of a Uint8Array or null, cancel(reason) }`, and
// `watch(error)`, which is given what errors the stream.
export function streamOfChunks(chunks) {
  const stream = newReadableByte({
    __proto__: null,
    pull: () => react(promising(() => chunks.next()), (chunk) => {
      if (stream.state !== "readable") return undefined;
      if (chunk === null) {
        closeStream(stream);
        return undefined;
      }
      if (chunk.byteLength > 0) {
        byteEnqueue(stream.controller, chunk);
        return undefined;
      }
      return stream.controller.pullAlgorithm?.(stream.controller);
    }),
    cancel: (reason) => promising(() => resolvedWith(chunks.cancel(reason))),
  }, HIGH_WATER_MARK);
  chunks.watch?.((reason) => byteError(stream.controller, reason));
  return stream;
}

// The stream of a body that was read without one.
export function usedStream() {
  const stream = initialize();
  stream.controller = newReadableByte({ __proto__: null }).controller;
  stream.disturbed = true;
  close(stream);
  acquireDefaultReader(stream);
  return stream;
}

// *Read all bytes* of a stream; its chunks must be Uint8Arrays.
export function allBytes(stream) {
  const { promise, resolve, reject } = newPromise();
  const reader = acquireDefaultReader(stream);
  const chunks = [];
  let length = 0;
  const readRequest = {
    chunk(chunk) {
      if (!ArrayBuffer.isView(chunk) || typedArrayName(chunk) !== "Uint8Array") {
        reject(new TypeError("a chunk of the body is not a Uint8Array"));
        return;
      }
      chunks.push(chunk.slice());
      length += chunks.at(-1).byteLength;
      // Not at once, so that a stream with everything in its queue needs no stack.
      upon(resolvedWith(undefined), next);
    },
    close: () => resolve(concatenate(chunks, length)),
    error: reject,
  };
  const next = () => read(reader, readRequest);
  next();
  return promise;
}

function concatenate(chunks, length) {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

// Reads a stream chunk by chunk, for what the host sends: `write(chunk)` gives a promise that it may have the
// next one. Resolves at the end.
export async function forEachChunk(stream, write) {
  const reader = acquireDefaultReader(stream);
  for (;;) {
    const { promise, resolve, reject } = newPromise();
    read(reader, { chunk: (value) => resolve({ value }), close: () => resolve(null), error: reject });
    const chunk = await promise;
    if (chunk === null) {
      release(reader);
      return;
    }
    if (!ArrayBuffer.isView(chunk.value) || typedArrayName(chunk.value) !== "Uint8Array") throw new TypeError("a chunk of the body is not a Uint8Array");
    try {
      await write(chunk.value);
    } catch (error) {
      react(readerCancel(reader, error), undefined, () => {});
      throw error;
    }
  }
}

// Cancels a stream, whoever reads it.
export const cancelStream = (stream, reason) => setHandled(cancel(stream, reason));

// Tees for a clone: the second branch has copies.
export const teeForClone = (stream) => tee(stream, true);

// *Create a proxy* of a stream: the other side of an identity transform.
export function proxyOf(stream) {
  const proxy = setUpTransform({ transform: (chunk, controller) => transformEnqueue(controller, chunk) });
  upon(pipeTo(stream, proxy.writable, false, false, false), () => {});
  return proxy.readable;
}


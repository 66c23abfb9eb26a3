// Streams as bodies have them. (Fetch, "body"; Streams, "Using streams in other specifications".)

import { react, resolvedWith } from "./promises.js";
import { byteClose, byteEnqueue, byteError, controllerRespond } from "./streams/byte_controller.js";
import { acquireDefaultReader, close, isLocked as isStreamLocked, newReadableByte, read } from "./streams/readable_ops.js";
import { readableObject, readableOf } from "./streams/readable_stream.js";
import { tee } from "./streams/tee.js";

const recordOf = (object) => readableOf(object, "The body");

export const isDisturbed = (object) => recordOf(object).disturbed;
export const isLocked = (object) => isStreamLocked(recordOf(object));

// The stream of a body that was consumed before anybody asked for its stream.
export function consumedStream() {
  const stream = newReadableByte({ __proto__: null });
  stream.disturbed = true;
  close(stream);
  return readableObject(stream);
}

// A byte stream of the bytes that a promise gives, which is asked for once.
export function byteStream(bytes) {
  const stream = newReadableByte({
    __proto__: null,
    pull() {
      const { controller } = stream;
      const ended = () => {
        byteClose(controller);
        if (controller.pendingPullIntos.length > 0) controllerRespond(controller, 0);
      };
      return react(bytes(), (chunk) => {
        if (chunk.byteLength > 0) byteEnqueue(controller, chunk);
        ended();
      }, (error) => byteError(controller, error));
    },
  });
  return readableObject(stream);
}

// *Clone* a body: the two branches of its stream.
export function teeForClone(object) {
  return tee(recordOf(object), true).map(readableObject);
}

// Create a proxy: a stream of what the other one gives, which is locked from now on.
export function proxyOf(object) {
  const reader = acquireDefaultReader(recordOf(object));
  const stream = newReadableByte({
    __proto__: null,
    pull() {
      const { controller } = stream;
      return new Promise((resolve) => {
        read(reader, {
          chunk(chunk) {
            byteEnqueue(controller, chunk);
            resolve();
          },
          close() {
            byteClose(controller);
            if (controller.pendingPullIntos.length > 0) controllerRespond(controller, 0);
            resolve();
          },
          error(reason) {
            byteError(controller, reason);
            resolve();
          },
        });
      });
    },
  });
  return readableObject(stream);
}

// *Fully read*: a promise of all bytes of a stream.
export function readAllBytes(object) {
  const stream = recordOf(object);
  const reader = acquireDefaultReader(stream);
  const chunks = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    const next = () => read(reader, {
      chunk(chunk) {
        if (!(chunk instanceof Uint8Array)) {
          reject(new TypeError("A stream that is a body gives Uint8Arrays only"));
          return;
        }
        chunks.push(chunk);
        length += chunk.byteLength;
        react(resolvedWith(undefined), next);
      },
      close() {
        const bytes = new Uint8Array(length);
        let at = 0;
        for (const chunk of chunks) {
          bytes.set(chunk, at);
          at += chunk.byteLength;
        }
        resolve(bytes);
      },
      error: reject,
    });
    next();
  });
}

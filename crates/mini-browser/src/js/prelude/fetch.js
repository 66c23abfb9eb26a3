// fetch(). (Fetch, "Fetch method".)

import { op_abort, op_body_bytes, op_body_chunk, op_fetch, op_forget } from "ops";

import { whenAborted } from "./abort.js";
import { bodyFrom, takeBytes } from "./body.js";
import { keep } from "./kept.js";
import { Request, requestOf, requestSignal, requestToHost } from "./request.js";
import { responseFromHost } from "./response.js";
import { fromOp, required } from "./webidl.js";

export async function fetch(input, init = {}) {
  required(arguments.length, 1, "fetch");
  // Steps 2 and 3.
  const request = new Request(input, init);
  return responseFrom(requestOf(request), requestSignal(request));
}

// Fetches a request, for fetch() and Cache; `signal` may be null. Rejects with a TypeError for a
// network error (why is for people, in the console) and with the signal's reason if it is aborted.
export async function responseFrom(request, signal) {
  // Step 4.
  signal?.throwIfAborted();
  const isStream = request.body !== null && request.body.isStream;
  const bytes = await takeBytes(request.body);
  // Steps 11 and 12.
  const { head, body } = await unlessAborted(signal, (operation) =>
    op_fetch(operation, { ...requestToHost(request), isStream }, bytes),
  );
  return responseFromHost(head, hostBody(body, signal));
}

// A body that the host keeps, as `body.js` has bodies; null for a null body.
export function hostBody(id, signal) {
  const kept = keep("body", id);
  if (kept === null) {
    return null;
  }
  const pull = () => unlessAborted(signal, (operation) => op_body_bytes(operation, kept.id));
  return bodyFrom(kept, pull, () => chunksOf(kept, signal));
}

// The chunks of a body that the host keeps.
export function chunksOf(kept, signal) {
  let running = null;
  return {
    async next() {
      const chunk = await unlessAborted(signal, (operation) => {
        running = operation;
        return op_body_chunk(operation, kept.id);
      });
      running = null;
      return chunk ?? null;
    },
    cancel() {
      if (running !== null) {
        op_abort(running);
      }
      op_forget("body", kept.id);
    },
    // An abort errors the stream also while nobody reads.
    watch(error) {
      if (signal !== null) {
        whenAborted(signal, error);
      }
    },
  };
}

let lastOperation = 0;

// What an operation of the host gives, or the reason of the abort. `start` is given a number under
// which the operation can be aborted.
export function unlessAborted(signal, start) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    lastOperation += 1;
    const operation = lastOperation;
    const forget =
      signal === null
        ? () => {}
        : whenAborted(signal, (reason) => {
            op_abort(operation);
            reject(reason);
          });
    start(operation).then(
      (value) => {
        forget();
        resolve(value);
      },
      (error) => {
        forget();
        reject(fromOp(error));
      },
    );
  });
}

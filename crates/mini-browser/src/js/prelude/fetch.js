// fetch(). (Fetch, "Fetch method".)

import { op_abort, op_body_bytes, op_fetch } from "ops";

import { whenAborted } from "./abort.js";
import { takeBytes } from "./body.js";
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
  const bytes = await takeBytes(request.body);
  // Steps 11 and 12.
  const { head, body } = await unlessAborted(signal, (operation) =>
    op_fetch(operation, requestToHost(request), bytes),
  );
  return responseFromHost(head, hostBody(body, signal));
}

// What pulls a body that the host keeps; null for a null body.
export function hostBody(id, signal) {
  const kept = keep("body", id);
  return kept === null
    ? null
    : () => unlessAborted(signal, (operation) => op_body_bytes(operation, kept.id));
}

let lastOperation = 0;

// What an operation of the host gives, or the reason of the abort. `start` is given a number under
// which the operation can be aborted.
function unlessAborted(signal, start) {
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

// fetch(). (Fetch, "Fetch method".)

import { op_abort, op_abort_token, op_body_bytes, op_fetch } from "ops";

import { whenAborted } from "./abort.js";
import { takeBytes } from "./body.js";
import { argumentsAtLeast } from "./fetch_idl.js";
import { Request, requestOf, requestSignal, requestToHost } from "./request.js";
import { responseFromHost } from "./response.js";

export async function fetch(input, init = {}) {
  argumentsAtLeast(arguments, 1, "fetch");
  // Steps 2 and 3.
  const request = new Request(input, init);
  const signal = requestSignal(request);
  return responseFrom(requestOf(request), signal);
}

/// Fetches a request, for fetch() and Cache; `signal` may be null. Rejects with a TypeError for a
/// network error (why is for people, in the console) and with the signal's reason if it is aborted.
export async function responseFrom(request, signal) {
  // Step 4.
  signal?.throwIfAborted();
  const bytes = await takeBytes(request.body);
  const token = signal === null ? null : op_abort_token();
  // Steps 11 and 12.
  const { head, body } = await unlessAborted(signal, token, () =>
    op_fetch(requestToHost(request), bytes, token),
  );
  const pull = () => unlessAborted(signal, token, () => op_body_bytes(body, token));
  return responseFromHost(head, body === null ? null : pull);
}

/// What an operation of the host gives, or the reason of the abort. A failure of the host becomes a
/// TypeError of this realm.
function unlessAborted(signal, token, operation) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      op_abort(token);
      reject(signal.reason);
      return;
    }
    const forget =
      signal === null
        ? () => {}
        : whenAborted(signal, (reason) => {
            op_abort(token);
            reject(reason);
          });
    operation().then(
      (value) => {
        forget();
        resolve(value);
      },
      (error) => {
        forget();
        reject(new TypeError(error.message));
      },
    );
  });
}

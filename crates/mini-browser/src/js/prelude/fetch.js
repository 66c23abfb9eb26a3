// fetch(). (Fetch, "Fetch method".)

import { op_abort, op_body_bytes, op_body_chunk, op_describe_error, op_fetch, op_forget, op_load, op_upload_begin, op_upload_chunk, op_upload_end } from "ops";

import { whenAborted } from "./abort.js";
import { bodyFrom, bodyOf, cancelBody, isStreamBody, streamOf, takeBytes, takeHostBody } from "./body.js";
import { keep } from "./kept.js";
import { newPromise, promising, react, rejectedWith, resolvedWith, upon } from "./promises.js";
import { Request, requestOf, requestSignal, requestToHost } from "./request.js";
import { responseFromHost } from "./response.js";
import { fromOp, required } from "./webidl.js";

export function fetch(input, init = undefined) {
  return promising(() => {
    required(arguments.length, 1, "fetch");
    // Steps 2 and 3.
    const request = new Request(input, init);
    return responseFrom(requestOf(request), requestSignal(request));
  });
}

// local_fetch(input, init): fetch with lookAside "local", which an installed worker answers or nobody.
export function local_fetch(input, init = undefined) {
  return promising(() => {
    required(arguments.length, 1, "local_fetch");
    const request = new Request(input, init);
    requestOf(request).lookAside = "local";
    return responseFrom(requestOf(request), requestSignal(request));
  });
}

// Fetches a request, for fetch() and Cache; `signal` may be null. Rejects with a TypeError for a
// network error (why is for people, in the console) and with the signal's reason if it is aborted.
export function responseFrom(request, signal) {
  // Step 4, *abort the fetch() call*: the request's body is aborted too.
  if (signal?.aborted) {
    cancelBody(request.body, signal.reason);
    return rejectedWith(signal.reason);
  }
  // Steps 11 and 12.
  const { promise, resolve, reject } = newPromise();
  const forget = signal === null ? () => {} : whenAborted(signal, (reason) => {
    if (request.body !== null) {
      cancelBody(request.body, reason);
    }
    reject(reason);
  });
  // What the request keeps at the host is needed there until now.
  const held = { request };
  const done = () => {
    held.request = null;
    forget();
  };
  const bodyId = hostBodyId(request.body, signal, reject);
  const bytes = bodyId === null ? takeBytes(request.body) : resolvedWith(null);
  upon(
    react(bytes, (bytes) => unlessAborted(signal, (operation) => op_fetch(operation, { ...requestToHost(request), bodyId, takesBytes: true }, bytes))),
    ({ head, body, bytes }) => {
      done();
      resolve(responseFromHost(head, bytes === undefined ? hostBody(body, signal) : receivedBody(bytes, signal)));
    },
    (error) => {
      done();
      reject(error);
    },
  );
  return promise;
}

// The number of a body that needs no bytes to be sent along: the host has it, or gets it chunk by chunk as
// somebody reads it. `fail` is given what ends it early. Else null.
function hostBodyId(body, signal, fail) {
  if (body === null) {
    return null;
  }
  const kept = takeHostBody(body);
  if (kept !== null || !isStreamBody(body)) {
    return kept;
  }
  const id = op_upload_begin();
  const unread = {};
  const write = async (chunk) => {
    try {
      await op_upload_chunk(id, chunk);
    } catch {
      throw unread;
    }
  };
  upon(
    op_load("streams/body_streams.js").forEachChunk(streamOf(body), write),
    // A stream that was canceled closes, too.
    () => op_upload_end(id, signal?.aborted ? "the fetch was aborted" : null),
    (error) => {
      op_upload_end(id, error === unread ? "nobody reads it" : op_describe_error(error));
      // *processBodyError*: what the reader does not want ends no fetch.
      if (error !== unread) {
        fail(new TypeError("Failed to fetch: the stream of the request's body broke"));
      }
    },
  );
  return id;
}

// A body of which all came with its response. What nobody has read of it an abort takes away all the same.
function receivedBody(bytes, signal) {
  const body = bodyOf(bytes);
  if (signal !== null) {
    whenAborted(signal, (reason) => {
      if (!body.used) {
        body.failure = { reason };
      }
    });
  }
  return body;
}

// A body that the host keeps, as `body.js` has bodies; null for a null body.
export function hostBody(id, signal) {
  const kept = keep("body", id);
  if (kept === null) {
    return null;
  }
  const pull = () => unlessAborted(signal, (operation) => op_body_bytes(operation, kept.id));
  const body = bodyFrom(kept, pull, () => chunksOf(kept, signal));
  if (signal !== null) {
    // *Abort the fetch() call*: whatever nobody has read is let go, and its connection with it.
    whenAborted(signal, (reason) => {
      op_forget("body", kept.id);
      if (!body.used) {
        body.failure = { reason };
      }
    });
  }
  return body;
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

// ReadableStreamPipeTo. (Streams, "Working with readable streams".) Without byte stream optimisations.

import { whenAborted } from "../abort.js";
import { newPromise, react, resolvedWith, upon, waitForAll } from "../promises.js";
import { acquireDefaultReader, cancel, read, release } from "./readable_ops.js";
import { abort, closeQueuedOrInFlight } from "./writable_ops.js";
import { closeWithErrorPropagation, releaseWriter, setUpWriter, writerDesiredSize, writerWrite } from "./writable_writer.js";

// Pipes `source` to `dest`, neither of which is locked. `signal` may be undefined.
export function pipeTo(source, dest, preventClose, preventAbort, preventCancel, signal) {
  const reader = acquireDefaultReader(source);
  const writer = setUpWriter(dest);
  source.disturbed = true;
  const pipe = { source, dest, reader, writer, signal, shuttingDown: false, currentWrite: resolvedWith(undefined), promise: newPromise(), forgetAbort: () => {} };

  // Step 14: the signal.
  if (signal !== undefined) {
    const abortAlgorithm = () => {
      const error = signal.reason;
      const actions = [];
      if (!preventAbort) actions.push(() => (dest.state === "writable" ? abort(dest, error) : resolvedWith(undefined)));
      if (!preventCancel) actions.push(() => (source.state === "readable" ? cancel(source, error) : resolvedWith(undefined)));
      shutdown(pipe, () => waitForAll(actions.map((action) => action())), { error });
    };
    if (signal.aborted) {
      abortAlgorithm();
      return pipe.promise.promise;
    }
    pipe.forgetAbort = whenAborted(signal, abortAlgorithm);
  }

  // Errors must be propagated forward.
  whenErrored(source, reader.closedPromise.promise, (error) => {
    shutdown(pipe, preventAbort ? null : () => abort(dest, error), { error });
  });
  // Errors must be propagated backward.
  whenErrored(dest, writer.closedPromise.promise, (error) => {
    shutdown(pipe, preventCancel ? null : () => cancel(source, error), { error });
  });
  // Closing must be propagated forward.
  whenClosed(source, reader.closedPromise.promise, () => {
    shutdown(pipe, preventClose ? null : () => closeWithErrorPropagation(writer), null);
  });
  // Closing must be propagated backward.
  if (closeQueuedOrInFlight(dest) || dest.state === "closed") {
    const error = new TypeError("The destination was closed before all could be piped to it");
    shutdown(pipe, preventCancel ? null : () => cancel(source, error), { error });
  }
  loop(pipe);
  return pipe.promise.promise;
}

function whenErrored(stream, closed, action) {
  if (stream.state === "errored") action(stream.storedError);
  else upon(closed, undefined, action);
}

function whenClosed(stream, closed, action) {
  if (stream.state === "closed") action();
  else upon(closed, action);
}

// Reads a chunk as soon as the writer wants one, and writes it. (Backpressure must be enforced.)
function loop(pipe) {
  if (pipe.shuttingDown) return;
  if (pipe.dest.state === "writable" && writerDesiredSize(pipe.writer) > 0) readOne(pipe);
  else upon(pipe.writer.readyPromise.promise, () => readOne(pipe));
}

function readOne(pipe) {
  if (pipe.shuttingDown) return;
  read(pipe.reader, {
    chunk(chunk) {
      // Not at once: what enqueues it must not call the sink.
      pipe.currentWrite = react(resolvedWith(undefined), () => {
        const write = writerWrite(pipe.writer, chunk);
        loop(pipe);
        return react(write, undefined, () => {});
      });
    },
    close() {},
    error() {},
  });
}

// Shutdown, with an action if there is one. `original` is `{ error }`, or null for none.
function shutdown(pipe, action, original) {
  if (pipe.shuttingDown) return;
  pipe.shuttingDown = true;
  const rest = () => {
    if (action === null) finalize(pipe, original);
    else upon(action(), () => finalize(pipe, original), (error) => finalize(pipe, { error }));
  };
  if (pipe.dest.state === "writable" && !closeQueuedOrInFlight(pipe.dest)) upon(writesFinished(pipe), rest);
  else rest();
}

// Everything that was read has been written, also what was read meanwhile.
function writesFinished(pipe) {
  const { currentWrite } = pipe;
  return react(currentWrite, () => (currentWrite === pipe.currentWrite ? undefined : writesFinished(pipe)));
}

function finalize(pipe, original) {
  releaseWriter(pipe.writer);
  release(pipe.reader);
  pipe.forgetAbort();
  if (original === null) pipe.promise.resolve(undefined);
  else pipe.promise.reject(original.error);
}

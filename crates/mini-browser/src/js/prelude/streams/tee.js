// ReadableStreamTee. (Streams, "Working with readable streams": "ReadableStreamDefaultTee" and
// "ReadableByteStreamTee".)

import { bufferOf, byteLengthOf, byteOffsetOf, sliceOf } from "../buffers.js";
import { newPromise, resolvedWith, upon } from "../promises.js";
import { structuredClone } from "../structured_clone.js";
import { byobRequestOf, byteClose, byteEnqueue, byteError, controllerRespond, respondWithNewView } from "./byte_controller.js";
import { controllerClose, controllerEnqueue, controllerError } from "./default_controller.js";
import { acquireByobReader, acquireDefaultReader, cancel, newReadable, newReadableByte, read, release } from "./readable_ops.js";
import { readByob } from "./readers.js";

// The two branches. `cloneForBranch2`: what the second one gives is a structured clone.
export function tee(stream, cloneForBranch2) {
  return stream.controller.isByte ? byteTee(stream) : defaultTee(stream, cloneForBranch2);
}

const later = (steps) => upon(resolvedWith(undefined), steps);

// What both kinds have in common: branches that are canceled together.
function newTee(stream) {
  return { stream, reader: undefined, reading: false, canceled: [false, false], reasons: [undefined, undefined], branches: [], cancelPromise: newPromise() };
}

function cancelBranch(teeing, index, reason) {
  teeing.canceled[index] = true;
  teeing.reasons[index] = reason;
  if (teeing.canceled[1 - index]) {
    // CreateArrayFromList.
    teeing.cancelPromise.resolve(cancel(teeing.stream, [...teeing.reasons]));
  }
  return teeing.cancelPromise.promise;
}

function errorBoth({ branches }, error, e) {
  for (const { controller } of branches) error(controller, e);
}

const isAnyWanted = ({ canceled }) => !canceled[0] || !canceled[1];

function defaultTee(stream, cloneForBranch2) {
  const teeing = newTee(stream);
  const { branches, canceled } = teeing;
  const reader = acquireDefaultReader(stream);
  let readAgain = false;
  const readRequest = {
    chunk(chunk) {
      // A microtask, so that a promise that was settled by the source reacts before.
      later(() => {
        readAgain = false;
        let second = chunk;
        if (!canceled[1] && cloneForBranch2) {
          try {
            second = structuredClone(chunk);
          } catch (e) {
            errorBoth(teeing, controllerError, e);
            teeing.cancelPromise.resolve(cancel(stream, e));
            return;
          }
        }
        if (!canceled[0]) controllerEnqueue(branches[0].controller, chunk);
        if (!canceled[1]) controllerEnqueue(branches[1].controller, second);
        teeing.reading = false;
        if (readAgain) pull();
      });
    },
    close() {
      teeing.reading = false;
      for (let i = 0; i < 2; i++) if (!canceled[i]) controllerClose(branches[i].controller);
      if (isAnyWanted(teeing)) teeing.cancelPromise.resolve(undefined);
    },
    error() { teeing.reading = false; },
  };
  const pull = () => {
    if (teeing.reading) {
      readAgain = true;
      return resolvedWith(undefined);
    }
    teeing.reading = true;
    read(reader, readRequest);
    return resolvedWith(undefined);
  };
  for (let i = 0; i < 2; i++) branches.push(newReadable({ __proto__: null, pull, cancel: (reason) => cancelBranch(teeing, i, reason) }));
  upon(reader.closedPromise.promise, undefined, (r) => {
    errorBoth(teeing, controllerError, r);
    if (isAnyWanted(teeing)) teeing.cancelPromise.resolve(undefined);
  });
  return branches;
}

function byteTee(stream) {
  const teeing = newTee(stream);
  const { branches } = teeing;
  teeing.readAgain = [false, false];
  teeing.reader = acquireDefaultReader(stream);
  const pull = (index) => () => {
    if (teeing.reading) {
      teeing.readAgain[index] = true;
      return resolvedWith(undefined);
    }
    teeing.reading = true;
    const byobRequest = byobRequestOf(branches[index].controller);
    if (byobRequest === null) pullWithDefaultReader(teeing);
    else pullWithByobReader(teeing, byobRequest.view, index);
    return resolvedWith(undefined);
  };
  for (let i = 0; i < 2; i++) {
    teeing.pull ??= [];
    teeing.pull.push(pull(i));
    branches.push(newReadableByte({ __proto__: null, pull: teeing.pull[i], cancel: (reason) => cancelBranch(teeing, i, reason) }));
  }
  forwardReaderError(teeing, teeing.reader);
  return branches;
}

function forwardReaderError(teeing, thisReader) {
  upon(thisReader.closedPromise.promise, undefined, (r) => {
    if (thisReader !== teeing.reader) return;
    errorBoth(teeing, byteError, r);
    if (isAnyWanted(teeing)) teeing.cancelPromise.resolve(undefined);
  });
}

function useReader(teeing, acquire, isByob) {
  if (teeing.reader.isByob === isByob) return;
  release(teeing.reader);
  teeing.reader = acquire(teeing.stream);
  forwardReaderError(teeing, teeing.reader);
}

// CloneAsUint8Array, or null, having errored the branches.
function clone(teeing, chunk) {
  try {
    const byteOffset = byteOffsetOf(chunk);
    return new Uint8Array(sliceOf(bufferOf(chunk), byteOffset, byteOffset + byteLengthOf(chunk)));
  } catch (e) {
    errorBoth(teeing, byteError, e);
    teeing.cancelPromise.resolve(cancel(teeing.stream, e));
    return null;
  }
}

function readAgain(teeing) {
  teeing.reading = false;
  if (teeing.readAgain[0]) teeing.pull[0]();
  else if (teeing.readAgain[1]) teeing.pull[1]();
}

function pullWithDefaultReader(teeing) {
  const { branches, canceled } = teeing;
  useReader(teeing, acquireDefaultReader, false);
  read(teeing.reader, {
    chunk(chunk) {
      later(() => {
        teeing.readAgain = [false, false];
        let second = chunk;
        if (!canceled[0] && !canceled[1]) {
          second = clone(teeing, chunk);
          if (second === null) return;
        }
        if (!canceled[0]) byteEnqueue(branches[0].controller, chunk);
        if (!canceled[1]) byteEnqueue(branches[1].controller, second);
        readAgain(teeing);
      });
    },
    close() {
      teeing.reading = false;
      for (let i = 0; i < 2; i++) if (!canceled[i]) byteClose(branches[i].controller);
      for (const { controller } of branches) if (controller.pendingPullIntos.length > 0) controllerRespond(controller, 0);
      if (isAnyWanted(teeing)) teeing.cancelPromise.resolve(undefined);
    },
    error() { teeing.reading = false; },
  });
}

function pullWithByobReader(teeing, view, index) {
  const { branches, canceled } = teeing;
  useReader(teeing, acquireByobReader, true);
  const byobBranch = branches[index];
  const otherBranch = branches[1 - index];
  readByob(teeing.reader, view, 1, {
    chunk(chunk) {
      later(() => {
        teeing.readAgain = [false, false];
        const byobCanceled = canceled[index];
        const otherCanceled = canceled[1 - index];
        if (!otherCanceled) {
          const cloned = clone(teeing, chunk);
          if (cloned === null) return;
          if (!byobCanceled) respondWithNewView(byobBranch.controller, chunk);
          byteEnqueue(otherBranch.controller, cloned);
        } else if (!byobCanceled) {
          respondWithNewView(byobBranch.controller, chunk);
        }
        readAgain(teeing);
      });
    },
    close(chunk) {
      teeing.reading = false;
      const byobCanceled = canceled[index];
      const otherCanceled = canceled[1 - index];
      if (!byobCanceled) byteClose(byobBranch.controller);
      if (!otherCanceled) byteClose(otherBranch.controller);
      if (chunk !== undefined) {
        if (!byobCanceled) respondWithNewView(byobBranch.controller, chunk);
        if (!otherCanceled && otherBranch.controller.pendingPullIntos.length > 0) controllerRespond(otherBranch.controller, 0);
      }
      if (!byobCanceled || !otherCanceled) teeing.cancelPromise.resolve(undefined);
    },
    error() { teeing.reading = false; },
  });
}

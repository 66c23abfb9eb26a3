// ReadableStream.from. (Streams, "ReadableStreamFromIterable"; ECMAScript, "GetIterator",
// "%AsyncFromSyncIteratorPrototype% Object".)

import { promising, react, rejectedWith, resolvedWith } from "../promises.js";
import { controllerClose, controllerEnqueue } from "./default_controller.js";
import { newReadable } from "./readable_ops.js";

const { apply } = Reflect;
const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

// ReadableStreamFromIterable.
export function fromIterable(asyncIterable) {
  const { iterator, next } = iteratorOf(asyncIterable);
  const pull = (controller) => react(promising(() => {
    const result = apply(next, iterator, []);
    if (!isObject(result)) throw new TypeError("ReadableStream.from: the iterator's next gave no object");
    return resolvedWith(result);
  }), (result) => {
    if (!isObject(result)) throw new TypeError("ReadableStream.from: the iterator's next gave no object");
    if (result.done) controllerClose(controller);
    else controllerEnqueue(controller, result.value);
  });
  const cancel = (reason) => promising(() => {
    const method = methodOf(iterator, "return");
    if (method === undefined) return resolvedWith(undefined);
    return react(resolvedWith(apply(method, iterator, [reason])), (result) => {
      if (!isObject(result)) throw new TypeError("ReadableStream.from: the iterator's return gave no object");
    });
  });
  return newReadable({ __proto__: null, pull, cancel }, 0);
}

// GetIterator(value, async).
function iteratorOf(value) {
  const method = methodOf(value, Symbol.asyncIterator);
  if (method === undefined) {
    const sync = methodOf(value, Symbol.iterator);
    if (sync === undefined) throw new TypeError("ReadableStream.from: the argument is not iterable");
    return asyncFromSync(apply(sync, value, []));
  }
  const iterator = apply(method, value, []);
  if (!isObject(iterator)) throw new TypeError("ReadableStream.from: the iterator is not an object");
  return { iterator, next: iterator.next };
}

function methodOf(value, name) {
  const method = value[name];
  if (method === undefined || method === null) return undefined;
  if (typeof method !== "function") throw new TypeError("ReadableStream.from: a method of the iterator is not a function");
  return method;
}

// CreateAsyncFromSyncIterator.
function asyncFromSync(sync) {
  if (!isObject(sync)) throw new TypeError("ReadableStream.from: the iterator is not an object");
  const syncNext = sync.next;
  const next = () => promising(() => {
    const result = apply(syncNext, sync, []);
    return continuation(result, true);
  });
  // AsyncFromSyncIteratorContinuation.
  const continuation = (result, closes) => {
    if (!isObject(result)) return rejectedWith(new TypeError("ReadableStream.from: the iterator gave no object"));
    const done = !!result.done;
    const { value } = result;
    return react(resolvedWith(value), (unwrapped) => ({ value: unwrapped, done }), (reason) => {
      if (!done && closes) methodOf(sync, "return")?.call(sync);
      throw reason;
    });
  };
  const iterator = {
    __proto__: null,
    return: (value) => promising(() => {
      const method = methodOf(sync, "return");
      if (method === undefined) return resolvedWith({ value, done: true });
      return continuation(apply(method, sync, [value]), false);
    }),
  };
  return { iterator, next };
}

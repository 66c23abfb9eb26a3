// Promises as the standards use them, whatever a script does to the global's. (Web IDL, "Promise<T>".)

const { Promise } = globalThis;
const { then } = Promise.prototype;
const { apply } = Reflect;
const nothing = () => {};

// *A new promise*: `{ promise, resolve, reject }`.
export function newPromise() {
  let resolve, reject;
  const promise = new Promise((toResolve, toReject) => {
    resolve = toResolve;
    reject = toReject;
  });
  return { promise, resolve, reject };
}

// *A promise resolved with* a value.
export function resolvedWith(value) { return new Promise((resolve) => resolve(value)); }

// *A promise rejected with* a reason.
export function rejectedWith(reason) { return new Promise((_, reject) => reject(reason)); }

// *React*: the promise of what the steps give.
export function react(promise, fulfilled, rejected = undefined) { return apply(then, promise, [fulfilled, rejected]); }

// *Upon fulfillment*, *upon rejection*: the steps give nothing and throw nothing.
export function upon(promise, fulfilled, rejected = nothing) { apply(then, promise, [fulfilled, rejected]); }

// Sets [[PromiseIsHandled]] to true.
export function setHandled(promise) { apply(then, promise, [undefined, nothing]); }

// An operation whose return type is a promise: what the steps throw rejects it.
export function promising(steps) {
  try {
    return steps();
  } catch (error) {
    return rejectedWith(error);
  }
}

// *Get a promise for waiting for all*: fulfils with all values, rejects with the first reason.
export function waitForAll(promises) {
  const { promise, resolve, reject } = newPromise();
  const results = new Array(promises.length);
  let left = promises.length;
  if (left === 0) resolve(results);
  for (let i = 0; i < promises.length; i++) {
    upon(promises[i], (value) => {
      results[i] = value;
      left--;
      if (left === 0) resolve(results);
    }, reject);
  }
  return promise;
}

// Asynchronously iterable declarations. (Web IDL, "Asynchronously iterable declarations".)

import { react, rejectedWith, resolvedWith } from "./promises.js";

const { create, defineProperty, getPrototypeOf } = Object;
const AsyncIteratorPrototype = getPrototypeOf(getPrototypeOf(async function* () {}.prototype));

// What `next` of the steps resolves with at the end.
export const endOfIteration = Symbol("end of iteration");

// Declares `async_iterable<V>` for an interface. The steps are `{ initialize(object, ...args) -> state,
// next(state) -> promise, return(state, value) -> promise }`.
export function asyncIterable(Class, name, steps) {
  const states = new WeakMap();
  const prototype = create(AsyncIteratorPrototype);
  const ofThis = (iterator, method) => {
    const state = typeof iterator === "object" && iterator !== null ? states.get(iterator) : undefined;
    if (state === undefined) throw new TypeError(`${method} was called on something that is no asynchronous iterator of ${name}`);
    return state;
  };
  // Runs the steps once what is going on has settled.
  const after = (state, run) => (state.ongoing === null ? run() : react(state.ongoing, run, run));
  const members = {
    next() {
      try {
        const state = ofThis(this, "next");
        state.ongoing = after(state, () => nextSteps(state, steps));
        return state.ongoing;
      } catch (error) {
        return rejectedWith(error);
      }
    },
    return(value) {
      try {
        const state = ofThis(this, "return");
        state.ongoing = after(state, () => returnSteps(state, steps, value));
        return react(state.ongoing, () => ({ value, done: true }));
      } catch (error) {
        return rejectedWith(error);
      }
    },
  };
  for (const member of ["next", "return"]) {
    defineProperty(prototype, member, { value: members[member], writable: true, enumerable: true, configurable: true });
  }
  defineProperty(prototype, Symbol.toStringTag, { value: `${name} AsyncIterator`, configurable: true });
  const { values } = {
    values(options = undefined) {
      const state = steps.initialize(this, options);
      const iterator = create(prototype);
      states.set(iterator, { state, ongoing: null, isFinished: false });
      return iterator;
    },
  };
  defineProperty(Class.prototype, "values", { value: values, writable: true, enumerable: true, configurable: true });
  defineProperty(Class.prototype, Symbol.asyncIterator, { value: values, writable: true, enumerable: false, configurable: true });
}

function nextSteps(state, steps) {
  if (state.isFinished) return resolvedWith({ value: undefined, done: true });
  return react(steps.next(state.state), (next) => {
    state.ongoing = null;
    if (next === endOfIteration) {
      state.isFinished = true;
      return { value: undefined, done: true };
    }
    return { value: next, done: false };
  }, (reason) => {
    state.ongoing = null;
    state.isFinished = true;
    throw reason;
  });
}

function returnSteps(state, steps, value) {
  if (state.isFinished) return resolvedWith({ value, done: true });
  state.isFinished = true;
  return steps.return(state.state, value);
}

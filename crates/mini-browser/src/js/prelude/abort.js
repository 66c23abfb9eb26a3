// AbortController and AbortSignal. (DOM, "Aborting ongoing activities".)

import { op_set_hook } from "ops";

import { foreign } from "./brands.js";
import { DOMException } from "./dom_exception.js";
import { EventTarget, defineEventHandler, fireEvent } from "./events.js";
import { enforceRange } from "./fetch_idl.js";
import { setTimeout } from "./timers.js";
import { HOST, idl, illegal, required, sequence } from "./webidl.js";

const MAX_SAFE = Number.MAX_SAFE_INTEGER;

let isOwn, stateOf;

export class AbortController {
  #signal = newSignal();

  constructor() {}

  get signal() {
    return this.#signal;
  }

  abort(reason = undefined) {
    signalAbort(this.#signal, reason);
  }
}

export class AbortSignal extends EventTarget {
  #state = {
    aborted: false,
    reason: undefined,
    algorithms: new Set(),
    isDependent: false,
    isShown: false,
    sources: [],
    // Fires abort at the signal, in its own realm.
    fire: () => fireEvent(this, "abort"),
    // A dependent signal is held weakly by its sources, unless something may wait for it.
    dependents: new Set(),
    held: new Set(),
  };

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #state in value;
    stateOf = (signal) => (isOwn(signal) ? signal.#state : elsewhere(signal));
    op_set_hook("abort signal", (value) => (isOwn(value) ? value.#state : null));
  }

  constructor() {
    illegal(arguments[0]);
    super();
  }

  static abort(reason = undefined) {
    const signal = newSignal();
    const state = stateOf(signal);
    state.aborted = true;
    state.reason = reasonOr(reason);
    return signal;
  }

  static timeout(milliseconds) {
    required(arguments.length, 1, "AbortSignal.timeout");
    const delay = enforceRange(milliseconds, 0, MAX_SAFE, "the time of AbortSignal.timeout");
    const signal = newSignal();
    setTimeout(
      () => signalAbort(signal, new DOMException("the time is over", "TimeoutError")),
      delay,
    );
    return signal;
  }

  static any(signals) {
    required(arguments.length, 1, "AbortSignal.any");
    return shown(dependentSignal(sequence(signals, abortSignal, "the argument of AbortSignal.any")));
  }

  get aborted() {
    return this.#state.aborted;
  }

  get reason() {
    return this.#state.reason;
  }

  throwIfAborted() {
    const { aborted, reason } = this.#state;
    if (aborted) {
      throw reason;
    }
  }
}

idl(AbortController);
idl(AbortSignal);
defineEventHandler(AbortSignal, "abort");

// Converts to AbortSignal, or throws.
export function abortSignal(value) {
  stateOf(value);
  return value;
}

// The state of a signal of another realm of the agent.
function elsewhere(value) {
  const state = foreign("abort signal", value);
  if (state === null) {
    throw new TypeError("the value is not an AbortSignal");
  }
  return state;
}

// *Create a dependent abort signal*.
export function dependentSignal(signals) {
  const result = newSignal();
  const state = stateOf(result);
  // Step 2.
  const aborted = signals.find((signal) => stateOf(signal).aborted);
  if (aborted !== undefined) {
    state.aborted = true;
    state.reason = stateOf(aborted).reason;
    return result;
  }
  // Steps 3 and 4.
  state.isDependent = true;
  for (const signal of signals) {
    const { isDependent, sources } = stateOf(signal);
    for (const source of isDependent ? sources : [signal]) {
      if (!state.sources.includes(source)) {
        state.sources.push(source);
        const reference = new WeakRef(result);
        stateOf(source).dependents.add(reference);
        forgotten.register(result, { dependents: stateOf(source).dependents, reference });
      }
    }
  }
  return result;
}

// A signal that a script gets to see: it may listen, so that the signal's sources hold it.
export function shown(signal) {
  const state = stateOf(signal);
  if (!state.isShown) {
    state.isShown = true;
    hold(signal, {});
  }
  return signal;
}

// *Add* an algorithm, run once with the reason when the signal is aborted. Gives a function that
// *removes* it. An aborted signal runs nothing.
export function whenAborted(signal, algorithm) {
  const state = stateOf(signal);
  if (state.aborted) {
    return () => {};
  }
  const entry = { algorithm };
  state.algorithms.add(entry);
  hold(signal, entry);
  return () => {
    state.algorithms.delete(entry);
    release(signal, entry);
  };
}

// *Signal abort*.
export function signalAbort(signal, reason) {
  const state = stateOf(signal);
  // Step 1.
  if (state.aborted) {
    return;
  }
  // Step 2.
  state.aborted = true;
  state.reason = reasonOr(reason);
  // Steps 3 and 4.
  const dependents = [...state.dependents].flatMap((reference) => reference.deref() ?? []);
  const toAbort = dependents.filter((dependent) => !stateOf(dependent).aborted);
  for (const dependent of toAbort) {
    stateOf(dependent).aborted = true;
    stateOf(dependent).reason = state.reason;
  }
  // Steps 5 and 6.
  runAbortSteps(signal);
  toAbort.forEach(runAbortSteps);
}

// *Run the abort steps*.
function runAbortSteps(signal) {
  const state = stateOf(signal);
  const algorithms = [...state.algorithms];
  state.algorithms.clear();
  for (const entry of algorithms) {
    entry.algorithm(state.reason);
    release(signal, entry);
  }
  state.fire();
}

const forgotten = new FinalizationRegistry(({ dependents, reference }) => {
  dependents.delete(reference);
});

// A dependent signal with algorithms lives as long as its sources. (DOM, "Garbage collection".)
function hold(signal, entry) {
  entry.signal = signal;
  for (const source of stateOf(signal).sources) {
    stateOf(source).held.add(entry);
  }
}

function release(signal, entry) {
  for (const source of stateOf(signal).sources) {
    stateOf(source).held.delete(entry);
  }
}

function reasonOr(reason) {
  return reason === undefined
    ? new DOMException("the operation was aborted", "AbortError")
    : reason;
}

// A signal that nothing has aborted.
export function newSignal() {
  return Reflect.construct(AbortSignal, [HOST]);
}

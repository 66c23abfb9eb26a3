// ExtendableEvent and the events of a service worker. (Service Workers, "Execution context: events".)

import { op_console, op_describe_error, op_fall_through } from "ops";
import { Event, fire } from "./events.js";
import { USVString, call, dictionary, errorOf, idl, required, sequence } from "./webidl.js";

const { resolve } = Promise;
const { then } = Promise.prototype;
const { apply } = Reflect;

// `f` as a promise, with reactions that no script can replace.
export function react(f, fulfilled, rejected) {
  apply(then, apply(resolve, Promise, [f]), [fulfilled, rejected]);
}

let lifetime;

export class ExtendableEvent extends Event {
  #dispatching = false;
  #pending = 0;
  // Why the first lifetime promise to reject did, or null.
  #failure = null;
  // Called once, when the event is over, with #failure.
  #over = null;

  constructor(type, init = undefined) {
    required(arguments.length, 1, new.target.name);
    super(type, init);
  }

  waitUntil(f) {
    required(arguments.length, 1, "waitUntil");
    this.#extend(f, true);
  }

  // Add lifetime promise. `told`: a rejection goes to the console.
  #extend(f, told) {
    // Step 1.
    if (!this.isTrusted) throw errorOf("InvalidStateError", "waitUntil: the event was not dispatched by the browser");
    // Step 2: if event is not active …
    if (!this.#dispatching && this.#pending === 0) throw errorOf("InvalidStateError", "waitUntil: the event is over");
    // Steps 3 and 4.
    this.#pending++;
    // Step 5: upon fulfillment or rejection of promise, queue a microtask …
    const settled = (failure) => react(undefined, () => {
      this.#failure ??= failure;
      this.#pending--;
      this.#check();
    });
    react(f, () => settled(null), (error) => {
      const failure = op_describe_error(error);
      if (told) op_console("error", `${this.type} event: a promise of waitUntil was rejected: ${failure}`);
      settled(failure);
    });
  }

  #check() {
    if (this.#dispatching || this.#pending > 0 || this.#over === null) return;
    const over = this.#over;
    this.#over = null;
    over(this.#failure);
  }

  static {
    lifetime = {
      extend: (event, f) => event.#extend(f, false),
      isDispatching: (event) => event.#dispatching,
      dispatch(event, after, over) {
        event.#over = over;
        event.#dispatching = true;
        try {
          fire(event, globalThis, true);
        } finally {
          event.#dispatching = false;
          after();
          event.#check();
        }
      },
    };
  }
}
idl(ExtendableEvent);

// Add lifetime promise.
export const addLifetimePromise = lifetime.extend;

// Whether an event's dispatch flag is set.
export const isDispatching = lifetime.isDispatching;

// Dispatches at the global. `after` runs when dispatch is over, `over(failure)` when the event is.
export function dispatchExtendable(event, over, after = () => {}) {
  lifetime.dispatch(event, after, over);
}

let identify;

export class InstallEvent extends ExtendableEvent {
  #id = null;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "InstallEvent");
    super(type, init);
  }
  handleFallThroughRequests(urlPrefixes, options = undefined) {
    required(arguments.length, 1, "handleFallThroughRequests");
    const prefixes = sequence(urlPrefixes, USVString, "The list of URL prefixes");
    let { origins } = dictionary(options, "The options of handleFallThroughRequests");
    if (origins !== undefined) origins = sequence(origins, USVString, "origins");
    if (this.#id === null || !lifetime.isDispatching(this)) {
      throw errorOf("InvalidStateError", "handleFallThroughRequests: only while the install event is dispatched");
    }
    call(op_fall_through, this.#id, prefixes, origins ?? null);
  }
  static {
    identify = (event, id) => { event.#id = id; };
  }
}
idl(InstallEvent);

export function newInstallEvent(id) {
  const event = new InstallEvent("install");
  identify(event, id);
  return event;
}

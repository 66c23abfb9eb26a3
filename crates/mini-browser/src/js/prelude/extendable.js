// ExtendableEvent and the events of a service worker. (Service Workers, "Execution context: events".)

import { op_add_routes, op_console, op_describe_error, op_fall_through, op_load } from "ops";
import { Event, fire } from "./events.js";
import { promising, react as reactTo } from "./promises.js";
import { USVString, call, callAsync, dictionary, errorOf, idl, required, sequence } from "./webidl.js";

const { resolve } = Promise;
const { then } = Promise.prototype;
const { apply } = Reflect;

// The conversion to a promise type: a promise is itself.
export const promiseOf = (value) => apply(resolve, Promise, [value]);

// `f` as a promise, with reactions that no script can replace.
export function react(f, fulfilled, rejected) {
  apply(then, promiseOf(f), [fulfilled, rejected]);
}

// How long an event keeps its worker: until its dispatch is over and its lifetime promises have settled.
export class Lifetime {
  dispatching = false;
  #pending = 0;
  // Why the first lifetime promise to reject did, or null.
  #failure = null;
  // Called once, when the event is over, with #failure.
  #over = null;
  // Told of the promises of waitUntil: { added(), settled(fulfilled) }.
  watcher = null;

  // Add lifetime promise. `told`: it is one of waitUntil, and a rejection goes to the console.
  extend(event, f, told) {
    // Step 1.
    if (!event.isTrusted) throw errorOf("InvalidStateError", "waitUntil: the event was not dispatched by the browser");
    // Step 2: if event is not active …
    if (!this.dispatching && this.#pending === 0) throw errorOf("InvalidStateError", "waitUntil: the event is over");
    // Steps 3 and 4.
    this.#pending++;
    if (told) this.watcher?.added();
    // Step 5: upon fulfillment or rejection of promise, queue a microtask …
    const settled = (failure) => react(undefined, () => {
      this.#failure ??= failure;
      this.#pending--;
      if (told) this.watcher?.settled(failure === null);
      this.#check();
    });
    react(f, () => settled(null), (error) => {
      const failure = op_describe_error(error);
      if (told) op_console("error", `${event.type} event: a promise of waitUntil was rejected: ${failure}`);
      settled(failure);
    });
  }

  // Dispatches at `target`. `after` runs when dispatch is over, `over(failure)` when the event is.
  dispatch(event, target, after, over) {
    this.#over = over;
    this.dispatching = true;
    try {
      fire(event, target, true);
    } finally {
      this.dispatching = false;
      after();
      this.#check();
    }
  }

  #check() {
    if (this.dispatching || this.#pending > 0 || this.#over === null) return;
    const over = this.#over;
    this.#over = null;
    over(this.#failure);
  }
}

let lifetimeOf;

export class ExtendableEvent extends Event {
  #lifetime = new Lifetime();

  constructor(type, init = undefined) {
    required(arguments.length, 1, new.target.name);
    super(type, init);
  }

  waitUntil(f) {
    const lifetime = this.#lifetime;
    required(arguments.length, 1, "waitUntil");
    lifetime.extend(this, f, true);
  }

  static {
    lifetimeOf = (event) => event.#lifetime;
  }
}
idl(ExtendableEvent);

// Add lifetime promise.
export const addLifetimePromise = (event, f) => lifetimeOf(event).extend(event, f, false);

// Whether the event is being dispatched by the browser.
export const isDispatching = (event) => lifetimeOf(event).dispatching;

// Has `added()` called for each promise of waitUntil, and `settled(fulfilled)` when it has settled.
export function watchLifetime(event, added, settled) { lifetimeOf(event).watcher = { added, settled }; }

// Dispatches at the global. `after` runs when dispatch is over, `over(failure)` when the event is.
export function dispatchExtendable(event, over, after = () => {}) {
  lifetimeOf(event).dispatch(event, globalThis, after, over);
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
    if (this.#id === null || !isDispatching(this)) {
      throw errorOf("InvalidStateError", "handleFallThroughRequests: only while the install event is dispatched");
    }
    call(op_fall_through, this.#id, prefixes, origins ?? null);
  }
  addRoutes(rules) {
    const given = arguments.length;
    return promising(() => {
      const id = this.#id;
      required(given, 1, "addRoutes");
      const converted = op_load("router_rules.js").routerRules(rules);
      if (id === null) throw errorOf("InvalidStateError", "addRoutes: the event was not dispatched by the browser");
      // Steps 3 and 8: the rules are verified, and added.
      const promise = callAsync(op_add_routes, id, converted);
      // Steps 4 to 7: whatever comes of it, the installation goes on.
      addLifetimePromise(this, reactTo(promise, () => undefined, () => undefined));
      return promise;
    });
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

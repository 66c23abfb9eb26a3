// ExtendableEvent and the events of a service worker. (Service Workers, "Execution context: events".)

import { op_describe_error, op_fall_through } from "ops";
import { Event, fire } from "./events.js";
import { USVString, call, dictionary, errorOf, idl, required, sequence } from "./webidl.js";

const { then } = Promise.prototype;
const apply = Reflect.apply;

// `f` as a promise, with reactions that no script can replace.
export function react(f, fulfilled, rejected) {
  apply(then, new Promise((resolve) => resolve(f)), [fulfilled, rejected]);
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
    this.#extend(f);
  }

  // Add lifetime promise.
  #extend(f) {
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
    react(f, () => settled(null), (error) => settled(op_describe_error(error)));
  }

  #check() {
    if (this.#dispatching || this.#pending > 0 || this.#over === null) return;
    const over = this.#over;
    this.#over = null;
    over(this.#failure);
  }

  static {
    lifetime = {
      extend: (event, f) => event.#extend(f),
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

let answers;

export class FetchEvent extends ExtendableEvent {
  #init;
  #entered = false;
  #answer = null;
  #handled;

  constructor(type, init) {
    required(arguments.length, 2, "FetchEvent");
    super(type, init);
    const { request, preloadResponse, clientId = "", resultingClientId = "", replacesClientId = "", isFallThrough = false, origin = "", handled } = dictionary(init, "The event's init");
    if (request === undefined) throw new TypeError("FetchEvent: the member 'request' is required");
    this.#init = {
      request,
      preloadResponse: preloadResponse ?? Promise.resolve(undefined),
      clientId: USVString(clientId),
      resultingClientId: USVString(resultingClientId),
      replacesClientId: USVString(replacesClientId),
      isFallThrough: !!isFallThrough,
      origin: USVString(origin),
    };
    this.#handled = handled ?? new Promise(() => {});
  }
  get request() { return this.#init.request; }
  get preloadResponse() { return this.#init.preloadResponse; }
  get clientId() { return this.#init.clientId; }
  get resultingClientId() { return this.#init.resultingClientId; }
  get replacesClientId() { return this.#init.replacesClientId; }
  get isFallThrough() { return this.#init.isFallThrough; }
  get origin() { return this.#init.origin; }
  get handled() { return this.#handled; }

  respondWith(r) {
    required(arguments.length, 1, "respondWith");
    // Step 2: if event's dispatch flag is unset …
    if (!lifetime.isDispatching(this)) throw errorOf("InvalidStateError", "respondWith: only while the event is dispatched");
    // Step 3: if event's respond-with entered flag is set …
    if (this.#entered) throw errorOf("InvalidStateError", "respondWith was called already");
    const promise = new Promise((resolve) => resolve(r));
    // Step 4: add lifetime promise r to event.
    lifetime.extend(this, promise);
    // Steps 5 to 7.
    this.stopPropagation();
    this.stopImmediatePropagation();
    this.#entered = true;
    // Steps 8 and 9.
    react(promise, (response) => this.#answer?.(response), (error) => this.#answer?.(undefined, error, true));
  }

  static {
    answers = {
      listen(event, answer) { event.#answer = answer; },
      entered: (event) => event.#entered,
    };
  }
}
idl(FetchEvent);

// Called with what respondWith's promise settles to: `(response)` or `(undefined, error, true)`.
export const onAnswer = answers.listen;
export const isAnswered = answers.entered;

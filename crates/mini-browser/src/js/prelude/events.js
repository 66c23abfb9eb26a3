// Events and event targets. (DOM, "Events"; HTML, "ErrorEvent", "PromiseRejectionEvent".)

import { op_load, op_microtasks, op_now, op_report, op_set_hook } from "ops";
import { global, proxied, unproxied } from "./realms.js";
import { DOMString, callback, dictionary, errorOf, idl, required } from "./webidl.js";

const NONE = 0, CAPTURING_PHASE = 1, AT_TARGET = 2, BUBBLING_PHASE = 3;

let internals;

export class Event {
  #type;
  #bubbles = false;
  #cancelable = false;
  #composed = false;
  #trusted = false;
  #target = null;
  #currentTarget = null;
  #phase = NONE;
  #dispatching = false;
  #stopped = false;
  #stoppedNow = false;
  #canceled = false;
  #passive = false;
  #fromHost = false;
  #path = [];
  #timeStamp = op_now();

  constructor(type, init = undefined) {
    required(arguments.length, 1, new.target.name);
    this.#type = DOMString(type);
    const { bubbles, cancelable, composed } = dictionary(init, "The event's init");
    this.#bubbles = !!bubbles;
    this.#cancelable = !!cancelable;
    this.#composed = !!composed;
  }
  get type() { return this.#type; }
  get target() { return proxied(this.#target); }
  get srcElement() { return proxied(this.#target); }
  get currentTarget() { return proxied(this.#currentTarget); }
  composedPath() { return this.#dispatching ? this.#path.map(proxied) : []; }
  get eventPhase() { return this.#phase; }
  stopPropagation() { this.#stopped = true; }
  get cancelBubble() { return this.#stopped; }
  set cancelBubble(value) { if (value) this.#stopped = true; }
  stopImmediatePropagation() { this.#stopped = this.#stoppedNow = true; }
  get bubbles() { return this.#bubbles; }
  get cancelable() { return this.#cancelable; }
  get returnValue() { return !this.#canceled; }
  set returnValue(value) { if (!value) this.#cancel(); }
  preventDefault() { this.#cancel(); }
  get defaultPrevented() { return this.#canceled; }
  get composed() { return this.#composed; }
  get isTrusted() { return this.#trusted; }
  get timeStamp() { return this.#timeStamp; }
  initEvent(type, bubbles = false, cancelable = false) {
    required(arguments.length, 1, "initEvent");
    if (this.#dispatching) return;
    this.#stopped = this.#stoppedNow = this.#canceled = this.#trusted = false;
    this.#target = null;
    this.#type = DOMString(type);
    this.#bubbles = !!bubbles;
    this.#cancelable = !!cancelable;
  }
  #cancel() {
    if (this.#cancelable && !this.#passive) this.#canceled = true;
  }

  static {
    internals = {
      isDispatching: (event) => event.#dispatching,
      trust: (event, isTrusted = true) => { event.#trusted = isTrusted; },
      // DOM, "dispatch", over a path of targets without shadow trees. Returns false if canceled.
      // `shown` is what the event has as its target.
      dispatch(event, target, path, fromHost, shown) {
        event.#fromHost = fromHost;
        event.#dispatching = true;
        event.#target = shown;
        event.#path = path;
        for (let i = path.length - 1; i > 0 && !event.#stopped; i--) event.#invoke(path[i], CAPTURING_PHASE, true);
        if (!event.#stopped) event.#invoke(target, AT_TARGET, true);
        if (!event.#stopped) event.#invoke(target, AT_TARGET, false);
        for (let i = 1; event.#bubbles && i < path.length && !event.#stopped; i++) event.#invoke(path[i], BUBBLING_PHASE, false);
        event.#phase = NONE;
        event.#currentTarget = null;
        event.#path = [];
        event.#dispatching = event.#stopped = event.#stoppedNow = false;
        return !event.#canceled;
      },
    };
  }

  // DOM, "inner invoke".
  #invoke(target, phase, capture) {
    const list = (listenersOf.get(target) ?? tree?.listenersOf(target))?.list;
    if (list === undefined) return;
    this.#phase = phase;
    this.#currentTarget = target;
    for (const listener of [...list]) {
      if (listener.removed || listener.type !== this.#type || listener.capture !== capture) continue;
      if (listener.once) remove(target, listener);
      this.#passive = listener.passive;
      try {
        listener.call(this, target);
      } catch (error) {
        op_report(error);
      }
      this.#passive = false;
      // Clean up after running script: no script is below the listeners of the host's own event.
      if (this.#fromHost && depth === 1) op_microtasks();
      if (this.#stoppedNow) break;
    }
  }
}
idl(Event, { constants: { NONE, CAPTURING_PHASE, AT_TARGET, BUBBLING_PHASE } });

// Targets to { list: listeners in order, handlers: Map of type to listener }.
const listenersOf = new WeakMap();
// How deep dispatches nest.
let depth = 0;
// Called with a target whose set of listened types may have changed.
const changeHooks = [];

export function onListenersChanged(hook) { changeHooks.push(hook); }

function changed(target) {
  for (let i = 0; i < changeHooks.length; i++) changeHooks[i](target);
}

function recordOf(target) {
  let record = listenersOf.get(target);
  if (record === undefined) listenersOf.set(target, record = { list: [], handlers: new Map() });
  return record;
}

function add(target, listener) {
  recordOf(target).list.push(listener);
  changed(target);
}

function remove(target, listener) {
  const { list } = recordOf(target);
  const at = list.indexOf(listener);
  if (at < 0) return;
  listener.removed = true;
  list.splice(at, 1);
  changed(target);
}

// The callbacks that listen to `type` at `target`.
export function callbacksOf(target, type) {
  const list = listenersOf.get(target)?.list ?? [];
  return list.filter((listener) => listener.type === type).map((listener) => listener.callback);
}

// Whether `target` has listeners for `type`.
export function hasListener(target, type) {
  const list = listenersOf.get(target)?.list;
  return list !== undefined && list.some((listener) => listener.type === type);
}

// The types that have listeners at `target`.
export function typesOf(target) {
  return [...new Set((listenersOf.get(target)?.list ?? []).map((listener) => listener.type))];
}

export class EventTarget {
  addEventListener(type, callback, options = undefined) {
    required(arguments.length, 2, "addEventListener");
    const target = unproxied(this ?? global);
    const { capture, once, passive, signal } = flatten(options);
    type = DOMString(type);
    if (callback === null || callback === undefined) return;
    if (typeof callback !== "object" && typeof callback !== "function") throw new TypeError("addEventListener: the listener is not an object");
    if (signal?.aborted) return;
    const { list } = recordOf(target);
    if (list.some((listener) => !listener.handler && listener.type === type && listener.callback === callback && listener.capture === capture)) return;
    const listener = {
      type, callback, capture, once, passive, removed: false, handler: false,
      call(event, target) {
        if (typeof callback === "function") callback.call(proxied(target), event);
        else if (typeof callback.handleEvent === "function") callback.handleEvent(event);
        else throw new TypeError("The listener has no handleEvent method");
      },
    };
    add(target, listener);
    if (signal !== undefined) signal.addEventListener("abort", () => remove(target, listener), { once: true });
  }
  removeEventListener(type, callback, options = undefined) {
    required(arguments.length, 2, "removeEventListener");
    const target = unproxied(this ?? global);
    const { capture } = flatten(options);
    type = DOMString(type);
    const listener = listenersOf.get(target)?.list.find((listener) =>
      !listener.handler && listener.type === type && listener.callback === callback && listener.capture === capture);
    if (listener) remove(target, listener);
  }
  dispatchEvent(event) {
    required(arguments.length, 1, "dispatchEvent");
    if (!(event instanceof Event)) throw new TypeError("dispatchEvent: the argument is not an Event");
    if (internals.isDispatching(event)) throw errorOf("InvalidStateError", "The event is already being dispatched");
    internals.trust(event, false);
    return run(event, unproxied(this ?? global), false);
  }
}
idl(EventTarget);

// What those targets have that are nodes: { parentOf(target, event), listenersOf(target) of another realm,
// isActivationEvent(event), activationOf(target) }. Set by what keeps the tree.
let tree = null;
export function setTreeOfTargets(trees) { tree = trees; }

// The listeners of a target, for other realms.
export const ownListeners = (target) => listenersOf.get(target);

function flatten(options) {
  if (typeof options === "boolean" || options === undefined || options === null) {
    return { capture: !!options, once: false, passive: false, signal: undefined };
  }
  if (typeof options !== "object" && typeof options !== "function") return { capture: !!options, once: false, passive: false, signal: undefined };
  const { capture, once, passive, signal } = options;
  if (signal !== undefined && typeof signal?.addEventListener !== "function") throw new TypeError("The listener's signal is not an AbortSignal");
  return { capture: !!capture, once: !!once, passive: !!passive, signal };
}

// DOM, "dispatch": the path, the dispatch along it, and activation behaviour.
function run(event, target, fromHost, shown = target) {
  const path = [target];
  let activation = null;
  if (tree !== null) {
    const isActivation = event.type === "click" && tree.isActivationEvent(event);
    if (isActivation) activation = tree.activationOf(target);
    for (let next = tree.parentOf(target, event); next; next = tree.parentOf(next, event)) {
      path.push(next);
      if (isActivation && activation === null && event.bubbles) activation = tree.activationOf(next);
    }
  }
  const state = activation?.before();
  depth++;
  let isGoing;
  try {
    isGoing = internals.dispatch(event, target, path, fromHost, shown);
  } finally {
    depth--;
  }
  if (activation !== null) {
    if (isGoing) activation.activate(event);
    else activation.canceled(state);
  }
  return isGoing;
}

// Dispatches an event of the browser's. False if canceled. `fromHost`: no script is running, so that
// microtasks run after each listener. `shown` is what the event has as its target, where that is another
// (the legacy target override flag).
export function fire(event, target, fromHost = false, shown = target) {
  internals.trust(event);
  return run(event, target, fromHost, shown);
}

// HTML, "event handlers": the value of `on<type>`.
export function handlerOf(target, type) {
  const listener = listenersOf.get(target)?.handlers.get(type);
  return listener === undefined ? null : currentValue(target, listener);
}

// Getting the current value of the event handler: what is an internal raw uncompiled handler is compiled,
// and forgotten if that fails.
function currentValue(target, listener) {
  if (listener.compile !== null) {
    const { compile } = listener;
    listener.compile = null;
    listener.callback = compile();
    if (listener.callback === null) setHandler(target, listener.type, null);
  }
  return listener.callback;
}

// Sets `on<type>` to what `compile` gives when the handler is first needed: a function, or null.
export function setUncompiledHandler(target, type, compile) {
  // A function, so that there is a listener.
  setHandler(target, type, compile);
  listenersOf.get(target).handlers.get(type).compile = compile;
}

// Sets `on<type>`. Its place among the listeners is where it was first set.
export function setHandler(target, type, value) {
  const callback = typeof value === "function" || (typeof value === "object" && value !== null) ? value : null;
  const { handlers } = recordOf(target);
  const existing = handlers.get(type);
  if (callback === null) {
    if (existing) remove(target, existing);
    handlers.delete(type);
  } else if (existing) {
    existing.callback = callback;
    existing.compile = null;
    changed(target);
  } else {
    const listener = {
      type, callback, compile: null, capture: false, once: false, passive: false, removed: false, handler: true,
      call(event, target) {
        if (typeof currentValue(target, listener) !== "function") return;
        const isError = type === "error" && target === global && isErrorEvent(event);
        const result = isError
          ? listener.callback.call(proxied(target), event.message, event.filename, event.lineno, event.colno, event.error)
          : listener.callback.call(proxied(target), event);
        if (isError ? result === true : result === false) event.preventDefault();
      },
    };
    handlers.set(type, listener);
    add(target, listener);
  }
}

// Gives an interface the event handler attribute `on<type>`.
export function defineEventHandler(Class, type) {
  const target = (value) => {
    const target = unproxied(value ?? global);
    // The prototype inherits from EventTarget's, and implements nothing.
    if (target === Class.prototype) throw new TypeError(`on${type}: this is no ${Class.name}`);
    return target;
  };
  Object.defineProperty(Class.prototype, `on${type}`, {
    get() { return handlerOf(target(this), type); },
    set(value) { setHandler(target(this), type, value); },
    enumerable: true,
    configurable: true,
  });
}

// DOM, "fire an event" with no initialisation. False if canceled.
export function fireEvent(target, type, fromHost = false) {
  return fire(new Event(type), target, fromHost);
}

let isErrorEvent = () => false;

// Set by event_classes.js, which is loaded with the first ErrorEvent.
export function setIsErrorEvent(test) { isErrorEvent = test; }

// HTML, "report an exception": true if a handler took care of it.
let reporting = false;
op_set_hook("exception", (error, message, filename, lineno, colno) => {
  if (reporting || !listenersOf.has(global)) return false;
  reporting = true;
  try {
    const { ErrorEvent } = op_load("event_classes.js");
    return !fire(new ErrorEvent("error", { cancelable: true, message: message === "Script error." ? message : `Uncaught ${message}`, filename, lineno, colno, error }), global);
  } finally {
    reporting = false;
  }
});

// HTML, the outstanding rejected promises weak set.
const outstanding = new WeakSet();

// HTML, "notify about rejected promises", step 4: true if a handler took care of it.
op_set_hook("rejection", (promise, reason) => {
  outstanding.add(promise);
  if (!listenersOf.has(global)) return false;
  const { PromiseRejectionEvent } = op_load("event_classes.js");
  return !fire(new PromiseRejectionEvent("unhandledrejection", { cancelable: true, promise, reason }), global);
});

// HostPromiseRejectionTracker, steps 5 to 7.
op_set_hook("rejectionHandled", (promise, reason) => {
  if (!outstanding.delete(promise) || !listenersOf.has(global)) return;
  const { PromiseRejectionEvent } = op_load("event_classes.js");
  fire(new PromiseRejectionEvent("rejectionhandled", { promise, reason }), global);
});

export function reportError(error) {
  required(arguments.length, 1, "reportError");
  op_report(error);
}

export function queueMicrotask(task) {
  required(arguments.length, 1, "queueMicrotask");
  callback(task, "The argument of queueMicrotask");
  Promise.resolve().then(() => {
    try {
      task();
    } catch (error) {
      op_report(error);
    }
  });
}

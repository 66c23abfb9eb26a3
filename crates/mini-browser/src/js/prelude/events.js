// Events and event targets. (DOM, "Events"; HTML, "ErrorEvent", "PromiseRejectionEvent".)

import { op_load, op_microtasks, op_now, op_report, op_set_hook } from "ops";
import { foreign } from "./brands.js";
import { global, proxied, unproxied } from "./realms.js";
import { DOMString, callback, dictionary, errorOf, idl, required } from "./webidl.js";

const NONE = 0, CAPTURING_PHASE = 1, AT_TARGET = 2, BUBBLING_PHASE = 3;

// What an event knows is one array, since private elements of their own would make it several times as
// dear to create. From MORE on there are five places for what a subclass of the prelude's knows.
const TYPE = 0, FLAGS = 1, TARGET = 2, CURRENT_TARGET = 3, PHASE = 4, PATH = 5, TIME = 6;
export const MORE = 7;

const BUBBLES = 1, CANCELABLE = 2, COMPOSED = 4, TRUSTED = 8, DISPATCHING = 16, STOPPED = 32, STOPPED_NOW = 64, CANCELED = 128, PASSIVE = 256,
  UNINITIALIZED = 512;

const { construct } = Reflect;
const { isPrototypeOf } = Object.prototype;

let knownTo;

// Puts what an event knows on an object of another class: `construct(Known, [known], Class)`.
class Known {
  #known;
  constructor(known) { this.#known = known; }
  static { knownTo = (event) => event.#known; }
}

// What an event knows; throws for anything else.
export const knownOf = knownTo;

const is = (event, flag) => (knownOf(event)[FLAGS] & flag) !== 0;
const set = (event, flags) => { knownOf(event)[FLAGS] |= flags; };

// Set the canceled flag.
function cancel(event) {
  if ((knownOf(event)[FLAGS] & (CANCELABLE | PASSIVE)) === CANCELABLE) set(event, CANCELED);
}

export class Event {
  constructor(type, init = undefined) {
    required(arguments.length, 1, new.target.name);
    type = DOMString(type);
    const { bubbles, cancelable, composed } = dictionary(init, "The event's init");
    const flags = (bubbles ? BUBBLES : 0) | (cancelable ? CANCELABLE : 0) | (composed ? COMPOSED : 0);
    return construct(Known, [[type, flags, null, null, NONE, null, op_now(), undefined, undefined, undefined, undefined, undefined]], new.target);
  }
  get type() { return knownOf(this)[TYPE]; }
  get target() { return proxied(knownOf(this)[TARGET]); }
  get srcElement() { return proxied(knownOf(this)[TARGET]); }
  get currentTarget() { return proxied(knownOf(this)[CURRENT_TARGET]); }
  composedPath() {
    const { [TARGET]: target, [PATH]: path } = knownOf(this);
    return is(this, DISPATCHING) ? (path ?? [target]).map(proxied) : [];
  }
  get eventPhase() { return knownOf(this)[PHASE]; }
  stopPropagation() { set(this, STOPPED); }
  get cancelBubble() { return is(this, STOPPED); }
  set cancelBubble(value) { if (value) set(this, STOPPED); }
  stopImmediatePropagation() { set(this, STOPPED | STOPPED_NOW); }
  get bubbles() { return is(this, BUBBLES); }
  get cancelable() { return is(this, CANCELABLE); }
  get returnValue() { return !is(this, CANCELED); }
  set returnValue(value) { if (!value) cancel(this); }
  preventDefault() { cancel(this); }
  get defaultPrevented() { return is(this, CANCELED); }
  get composed() { return is(this, COMPOSED); }
  get isTrusted() { return is(this, TRUSTED); }
  get timeStamp() { return knownOf(this)[TIME]; }
  initEvent(type, bubbles = false, cancelable = false) {
    required(arguments.length, 1, "initEvent");
    if (is(this, DISPATCHING)) return;
    const known = knownOf(this);
    known[TARGET] = null;
    known[TYPE] = DOMString(type);
    known[FLAGS] = (known[FLAGS] & COMPOSED) | (bubbles ? BUBBLES : 0) | (cancelable ? CANCELABLE : 0);
  }
}

// Unsets the initialized flag of an event.
export function uninitialize(event) { set(event, UNINITIALIZED); }

// Whether the dispatch flag of an event is set.
export const isBeingDispatched = (event) => is(event, DISPATCHING);

// DOM, "dispatch", over a path of targets without shadow trees. Returns false if canceled.
// `shown` is what the event has as its target.
function dispatch(event, target, path, fromHost, endsTask, shown) {
  const known = knownOf(event);
  known[FLAGS] |= DISPATCHING;
  known[TARGET] = shown;
  known[PATH] = path;
  for (let i = path.length - 1; i > 0 && (known[FLAGS] & STOPPED) === 0; i--) invoke(event, known, path[i], CAPTURING_PHASE, true, fromHost, endsTask);
  if ((known[FLAGS] & STOPPED) === 0) invoke(event, known, target, AT_TARGET, true, fromHost, endsTask);
  if ((known[FLAGS] & STOPPED) === 0) invoke(event, known, target, AT_TARGET, false, fromHost, endsTask);
  if ((known[FLAGS] & BUBBLES) !== 0) {
    for (let i = 1; i < path.length && (known[FLAGS] & STOPPED) === 0; i++) invoke(event, known, path[i], BUBBLING_PHASE, false, fromHost, endsTask);
  }
  known[PHASE] = NONE;
  known[CURRENT_TARGET] = null;
  known[PATH] = null;
  known[FLAGS] &= ~(DISPATCHING | STOPPED | STOPPED_NOW);
  return (known[FLAGS] & CANCELED) === 0;
}

// DOM, "inner invoke".
function invoke(event, known, target, phase, capture, fromHost, endsTask) {
  const list = (listenersOf.get(target) ?? tree?.listenersOf(target))?.list;
  if (list === undefined) return;
  known[PHASE] = phase;
  known[CURRENT_TARGET] = target;
  // Nobody changes this list: `add` and `remove` make new ones.
  for (let i = 0; i < list.length; i++) {
    const listener = list[i];
    if (listener.removed || listener.type !== known[TYPE] || listener.capture !== capture) continue;
    if (listener.once) remove(target, listener);
    if (listener.passive) known[FLAGS] |= PASSIVE;
    const outer = currentEvent;
    currentEvent = event;
    try {
      listener.call(event, target);
    } catch (error) {
      op_report(error);
    }
    currentEvent = outer;
    known[FLAGS] &= ~PASSIVE;
    // Clean up after running script: no script is below the listeners of the host's own event. After
    // the last one the end of the task does it.
    if (fromHost && depth === 1 && !(endsTask && i + 1 === list.length)) op_microtasks();
    if ((known[FLAGS] & STOPPED_NOW) !== 0) break;
  }
}

// `fire` for a new event of the browser's (no ErrorEvent) at a target that is no window and has no
// parent, at the end of a task. `now` is in milliseconds since the realm was made; what follows, what the
// subclass knows. Most often there is one listener, and then little to do.
export function fireNew(Class, type, target, now, first, second, third, fourth, fifth) {
  const list = listenersOf.get(target)?.list;
  if (list === undefined || list.length === 0) return;
  const listener = list[0];
  if (list.length !== 1 || listener.once || listener.passive || listener.capture || depth > 0) {
    fire(newEvent(Class, type, now, first, second, third, fourth, fifth), target, true, true);
    return;
  }
  if (listener.type !== type) return;
  const known = [type, TRUSTED | DISPATCHING, target, target, AT_TARGET, null, now, first, second, third, fourth, fifth];
  depth = 1;
  try {
    const event = construct(Known, [known], Class);
    currentEvent = event;
    const { callback } = listener;
    if (typeof callback !== "function") listener.call(event, target);
    else if (callback.call(target, event) === false && listener.handler) cancel(event);
  } catch (error) {
    op_report(error);
  }
  depth = 0;
  currentEvent = undefined;
  known[PHASE] = NONE;
  known[CURRENT_TARGET] = null;
  known[FLAGS] &= ~(DISPATCHING | STOPPED | STOPPED_NOW);
}

// An event of the browser's, with what its class knows.
export function newEvent(Class, type, now, first, second, third, fourth, fifth) {
  return construct(Known, [[type, TRUSTED, null, null, NONE, null, now, first, second, third, fourth, fifth]], Class);
}
idl(Event, { constants: { NONE, CAPTURING_PHASE, AT_TARGET, BUBBLING_PHASE } });

// Targets to { list: listeners in order, never changed but replaced, handlers: Map of type to listener }.
const listenersOf = new WeakMap();
// How deep dispatches nest.
let depth = 0;
// The current event of this window: of the listeners that this realm's targets have.
let currentEvent = undefined;

export const eventOfWindow = () => currentEvent;

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
  const record = recordOf(target);
  record.list = [...record.list, listener];
  changed(target);
}

function remove(target, listener) {
  if (listener.removed) return;
  listener.removed = true;
  const record = recordOf(target);
  record.list = record.list.filter((other) => other !== listener);
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

let isOwnTarget;

export class EventTarget {
  #isTarget;
  static { isOwnTarget = (value) => value === global || (typeof value === "object" && value !== null && #isTarget in value); }
  addEventListener(type, callback, options = undefined) {
    const target = eventTarget(this);
    required(arguments.length, 2, "addEventListener");
    type = DOMString(type);
    const { capture, once, passive = isPassiveByDefault(type, target), signal } = flattenMore(options);
    if (callback === null || callback === undefined) return;
    if (typeof callback !== "object" && typeof callback !== "function") throw new TypeError("addEventListener: the listener is not an object");
    if (signal?.aborted) return;
    const { list } = recordOf(target);
    if (list.some((listener) => !listener.handler && listener.type === type && listener.callback === callback && listener.capture === capture)) return;
    const listener = {
      type, callback, capture, once, passive, removed: false, handler: false,
      call(event, target) {
        if (typeof callback === "function") callback.call(proxied(target), event);
        else handleEvent(callback, event);
      },
    };
    add(target, listener);
    if (signal !== undefined) signal.addEventListener("abort", () => remove(target, listener), { once: true });
  }
  removeEventListener(type, callback, options = undefined) {
    const target = eventTarget(this);
    required(arguments.length, 2, "removeEventListener");
    type = DOMString(type);
    const capture = flatten(options);
    const listener = listenersOf.get(target)?.list.find((listener) =>
      !listener.handler && listener.type === type && listener.callback === callback && listener.capture === capture);
    if (listener) remove(target, listener);
  }
  dispatchEvent(event) {
    const target = eventTarget(this);
    required(arguments.length, 1, "dispatchEvent");
    if (!(event instanceof Event)) throw new TypeError("dispatchEvent: the argument is not an Event");
    if (is(event, DISPATCHING)) throw errorOf("InvalidStateError", "The event is already being dispatched");
    if (is(event, UNINITIALIZED)) throw errorOf("InvalidStateError", "The event was not initialized");
    knownOf(event)[FLAGS] &= ~TRUSTED;
    return run(event, target, false);
  }
}
idl(EventTarget);

// The event target that `this` is, which may be of another realm of the agent.
function eventTarget(value) {
  const target = unproxied(value ?? global);
  if (!isOwnTarget(target) && foreign("event target", target) === null) throw new TypeError("Illegal invocation: this is no EventTarget");
  return target;
}
op_set_hook("event target", (value) => (isOwnTarget(value) ? true : null));

// Call a user object's operation.
function handleEvent(listener, event) {
  const method = listener.handleEvent;
  if (typeof method !== "function") throw new TypeError("The listener has no handleEvent method");
  Reflect.apply(method, listener, [event]);
}

// What those targets have that are nodes: { parentOf(target, event), listenersOf(target) of another realm,
// isActivationEvent(event), activationOf(target), isRoot(target): a document, or its html or body element }.
// Set by what keeps the tree.
let tree = null;
export function setTreeOfTargets(trees) { tree = trees; }

// The listeners of a target, for other realms.
export const ownListeners = (target) => listenersOf.get(target);

// DOM, "flatten" options: whether to capture.
function flatten(options) {
  return typeof options === "object" && options !== null || typeof options === "function" ? !!options.capture : !!options;
}

// DOM, "flatten more" options.
function flattenMore(options) {
  const isDictionary = typeof options === "object" && options !== null || typeof options === "function";
  if (!isDictionary) return { capture: !!options, once: false, passive: undefined, signal: undefined };
  const { capture, once, passive, signal } = options;
  if (signal !== undefined && typeof signal?.addEventListener !== "function") throw new TypeError("The listener's signal is not an AbortSignal");
  return { capture: !!capture, once: !!once, passive: passive === undefined ? undefined : !!passive, signal };
}

const SCROLLING = new Set(["touchstart", "touchmove", "wheel", "mousewheel"]);

// DOM, "default passive value".
function isPassiveByDefault(type, target) {
  return SCROLLING.has(type) && tree !== null && (target === global || tree.isRoot(target));
}

// DOM, "dispatch": the path, the dispatch along it, and activation behaviour.
function run(event, target, fromHost, endsTask = false, shown = target) {
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
    isGoing = dispatch(event, target, path, fromHost, endsTask, shown);
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
// microtasks run after each listener. `endsTask`: the task does nothing after it. `shown` is what the event
// has as its target, where that is another (the legacy target override flag).
export function fire(event, target, fromHost = false, endsTask = false, shown = target) {
  set(event, TRUSTED);
  return run(event, target, fromHost, endsTask, shown);
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
    const target = eventTarget(value);
    if (target === global && !Reflect.apply(isPrototypeOf, Class.prototype, [global])) {
      throw new TypeError(`Illegal invocation: this is no ${Class.name}`);
    }
    return target;
  };
  // Accessors of a literal are named as Web IDL has it: `get ontype`.
  const { get, set } = Object.getOwnPropertyDescriptor({
    get [`on${type}`]() { return handlerOf(target(this), type); },
    set [`on${type}`](value) { setHandler(target(this), type, value); },
  }, `on${type}`);
  Object.defineProperty(Class.prototype, `on${type}`, { get, set, enumerable: true, configurable: true });
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
    const shown = message === "Script error." ? message : `Uncaught ${message}`;
    return !fire(new ErrorEvent("error", { cancelable: true, message: shown, filename, lineno, colno, error }), global);
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

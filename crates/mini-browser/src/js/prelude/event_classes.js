// CustomEvent, CloseEvent, ErrorEvent and PromiseRejectionEvent. (DOM; HTML.)

import { Event, isBeingDispatched, setIsErrorEvent } from "./events.js";
import { DOMString, USVString, dictionary, idl, required } from "./webidl.js";

export class CustomEvent extends Event {
  #detail;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "CustomEvent");
    super(type, init);
    this.#detail = dictionary(init, "The event's init").detail ?? null;
  }
  get detail() { return this.#detail; }
  initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
    this.#detail;
    required(arguments.length, 1, "initCustomEvent");
    // Step 1: while it is dispatched, nothing changes.
    if (isBeingDispatched(this)) return;
    this.initEvent(type, bubbles, cancelable);
    this.#detail = detail;
  }
}
idl(CustomEvent);
Object.defineProperty(CustomEvent, "length", { value: 1, configurable: true });

// (WebSockets, "CloseEvent".)
export class CloseEvent extends Event {
  #init;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "CloseEvent");
    super(type, init);
    const { code = 0, reason = "", wasClean } = dictionary(init, "The event's init");
    this.#init = { wasClean: !!wasClean, code: code & 0xffff, reason: USVString(reason) };
  }
  get wasClean() { return this.#init.wasClean; }
  get code() { return this.#init.code; }
  get reason() { return this.#init.reason; }
}
idl(CloseEvent);
Object.defineProperty(CloseEvent, "length", { value: 1, configurable: true });

export class ErrorEvent extends Event {
  #init;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "ErrorEvent");
    super(type, init);
    const { message = "", filename = "", lineno = 0, colno = 0, error } = dictionary(init, "The event's init");
    this.#init = { message: DOMString(message), filename: DOMString(filename), lineno: lineno >>> 0, colno: colno >>> 0, error };
  }
  get message() { return this.#init.message; }
  get filename() { return this.#init.filename; }
  get lineno() { return this.#init.lineno; }
  get colno() { return this.#init.colno; }
  get error() { return this.#init.error; }
}
idl(ErrorEvent);

export class PromiseRejectionEvent extends Event {
  #promise;
  #reason;
  constructor(type, init) {
    required(arguments.length, 2, "PromiseRejectionEvent");
    super(type, init);
    if (!("promise" in dictionary(init, "The event's init"))) throw new TypeError("PromiseRejectionEvent: the member 'promise' is required");
    this.#promise = init.promise;
    this.#reason = init.reason;
  }
  get promise() { return this.#promise; }
  get reason() { return this.#reason; }
}
idl(PromiseRejectionEvent);
setIsErrorEvent((event) => event instanceof ErrorEvent);

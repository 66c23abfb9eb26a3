// PopStateEvent, HashChangeEvent and PageTransitionEvent. (HTML, "Session history and navigation".)

import { Event } from "./events.js";
import { USVString, dictionary, idl, required } from "./webidl.js";

export class PopStateEvent extends Event {
  #state;
  #hasUAVisualTransition;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "PopStateEvent");
    super(type, init);
    const { state = null, hasUAVisualTransition } = dictionary(init, "The event's init");
    this.#state = state;
    this.#hasUAVisualTransition = !!hasUAVisualTransition;
  }
  get state() { return this.#state; }
  get hasUAVisualTransition() { return this.#hasUAVisualTransition; }
}
idl(PopStateEvent);

export class HashChangeEvent extends Event {
  #oldURL;
  #newURL;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "HashChangeEvent");
    super(type, init);
    const { oldURL = "", newURL = "" } = dictionary(init, "The event's init");
    this.#oldURL = USVString(oldURL);
    this.#newURL = USVString(newURL);
  }
  get oldURL() { return this.#oldURL; }
  get newURL() { return this.#newURL; }
}
idl(HashChangeEvent);

export class PageTransitionEvent extends Event {
  #persisted;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "PageTransitionEvent");
    super(type, init);
    this.#persisted = !!dictionary(init, "The event's init").persisted;
  }
  get persisted() { return this.#persisted; }
}
idl(PageTransitionEvent);

// ProgressEvent. (XMLHttpRequest, "Interface ProgressEvent".)

import { Event, fire } from "./events.js";
import { dictionary, double, idl, required } from "./webidl.js";

export class ProgressEvent extends Event {
  #lengthComputable;
  #loaded;
  #total;

  constructor(type, init = undefined) {
    required(arguments.length, 1, "ProgressEvent");
    super(type, init);
    const { lengthComputable, loaded = 0, total = 0 } = dictionary(init, "The event's init");
    this.#lengthComputable = !!lengthComputable;
    this.#loaded = double(loaded, "loaded");
    this.#total = double(total, "total");
  }

  get lengthComputable() { return this.#lengthComputable; }
  get loaded() { return this.#loaded; }
  get total() { return this.#total; }
}
idl(ProgressEvent);
Object.defineProperty(ProgressEvent, "length", { value: 1, configurable: true });

// Fire a progress event: `length` is 0 if it is not known.
export function fireProgress(target, type, transmitted, length, fromHost = false) {
  return fire(new ProgressEvent(type, { loaded: transmitted, total: length, lengthComputable: length !== 0 }), target, fromHost);
}

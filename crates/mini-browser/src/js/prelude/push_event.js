// PushEvent. (Push API, "PushEvent".)

import { op_settled } from "ops";
import { ExtendableEvent, dispatchExtendable } from "./extendable.js";
import { HOST, bytesOf, dictionary, idl, illegal, required } from "./webidl.js";

export class PushMessageData {
  #bytes;
  constructor(token, bytes) {
    illegal(token);
    this.#bytes = bytes;
  }
  arrayBuffer() { return this.bytes().buffer; }
  bytes() { return new Uint8Array(this.#bytes); }
  json() { return JSON.parse(this.text()); }
  text() { return new TextDecoder().decode(this.#bytes); }
}
idl(PushMessageData);

export class PushEvent extends ExtendableEvent {
  #data = null;
  constructor(type, init = undefined) {
    required(arguments.length, 1, "PushEvent");
    super(type, init);
    const { data } = dictionary(init, "The event's init");
    if (data === undefined) return;
    const bytes = bytesOf(data) ?? new TextEncoder().encode(data);
    this.#data = new PushMessageData(HOST, new Uint8Array(bytes));
  }
  get data() { return this.#data; }
}
idl(PushEvent);

// Fires a functional event named "push".
export function dispatchPush(id, data) {
  const init = data === null || data === undefined ? undefined : { data };
  dispatchExtendable(new PushEvent("push", init), (failure) => op_settled(id, failure));
}

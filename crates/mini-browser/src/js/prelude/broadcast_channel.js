// BroadcastChannel. (HTML, "Broadcasting to other browsing contexts".)

import { op_broadcast_close, op_broadcast_is_eligible, op_broadcast_open, op_broadcast_post, op_set_hook } from "ops";
import { EventTarget, defineEventHandler, fire, hasListener, onListenersChanged } from "./events.js";
import { newMessageEvent } from "./message_event.js";
import "./structured_clone.js";
import { DOMString, errorOf, idl, required } from "./webidl.js";

// Channels by the numbers that the agent knows them by. One that listens is kept until it is closed.
const objects = new Map();
const listening = new Map();
const collected = new FinalizationRegistry((id) => {
  objects.delete(id);
  op_broadcast_close(id);
});

// Well-formed also for a name that is not.
const { stringify } = JSON;

let internals;

export class BroadcastChannel extends EventTarget {
  #id;
  #name;
  #closed = false;
  constructor(name) {
    required(arguments.length, 1, "BroadcastChannel");
    name = DOMString(name);
    super();
    this.#name = name;
    this.#id = op_broadcast_open(stringify(name));
    objects.set(this.#id, new WeakRef(this));
    collected.register(this, this.#id);
  }
  get name() { return this.#name; }
  postMessage(message) {
    const id = this.#id;
    required(arguments.length, 1, "postMessage");
    // postMessage(message), steps 1 and 2.
    if (!op_broadcast_is_eligible()) return;
    if (this.#closed) throw errorOf("InvalidStateError", "The BroadcastChannel is closed");
    op_broadcast_post(id, message);
  }
  close() {
    this.#closed = true;
    listening.delete(this.#id);
    objects.delete(this.#id);
    op_broadcast_close(this.#id);
  }
  static {
    internals = {
      is: (value) => #id in value,
      update(channel) {
        const listens = !channel.#closed && (hasListener(channel, "message") || hasListener(channel, "messageerror"));
        if (listens) listening.set(channel.#id, channel);
        else listening.delete(channel.#id);
      },
    };
  }
}
for (const type of ["message", "messageerror"]) defineEventHandler(BroadcastChannel, type);
idl(BroadcastChannel);

onListenersChanged((target) => {
  if (internals.is(target)) internals.update(target);
});

// postMessage(message), step 8, for one destination.
op_set_hook("broadcast", (id, data, origin) => {
  const channel = objects.get(id)?.deref();
  if (channel !== undefined) fire(newMessageEvent("message", data, origin), channel, true);
});

op_set_hook("broadcast error", (id, origin) => {
  const channel = objects.get(id)?.deref();
  if (channel !== undefined) fire(newMessageEvent("messageerror", null, origin), channel, true);
});

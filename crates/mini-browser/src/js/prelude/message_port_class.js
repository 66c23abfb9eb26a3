// MessagePort. (HTML, "Message ports".)

import { op_port_close, op_port_forget, op_port_listen, op_port_post, op_port_start, op_port_unlink, op_set_hook } from "ops";
import { EventTarget, defineEventHandler, fire, fireEvent, fireNew, handlerOf, hasListener, onListenersChanged, setHandler } from "./events.js";
import { MessageEvent, newMessageEvent } from "./message_event.js";
import { transferable } from "./serializable.js";
import { transferList } from "./structured_clone.js";
import { HOST, errorOf, idl, illegal, required } from "./webidl.js";

// Ports by the numbers that the agent knows them by: objects that need not be kept, and those that must,
// since what happens at their other ends may reach a listener.
const objects = new Map();
const held = new Map();
const collected = new FinalizationRegistry((id) => {
  if (objects.get(id)?.deref() === undefined) objects.delete(id);
  op_port_forget(id);
});

// The number of no port.
const NO_PORT = 0;

let internals;

export class MessagePort extends EventTarget {
  #id;
  #detached = false;
  // The number of the entangled port, if both ports are where they were made.
  #partner = undefined;
  // That port's object, if it has listeners: reachable as long as this one is.
  #listener = null;
  // The message event target, if it is another object.
  #target = null;
  // For a view of a stashed port: { entry, name, steps }; the entry is null if it is known to be gone.
  // (stashed_ports.js.)
  #stashed = null;
  // Told of what a script does with the port: { used(), closed() }.
  #watcher = null;

  constructor(token, id) {
    illegal(token);
    super();
    this.#id = id;
    // A view of a stashed port has none.
    if (id === null) return;
    objects.set(id, new WeakRef(this));
    collected.register(this, id);
  }

  postMessage(message, options = undefined) {
    const id = this.#id;
    required(arguments.length, 1, "postMessage");
    const transfer = transferList(options);
    // Message port post message steps, step 2.
    if (transfer !== undefined && transfer.includes(this)) {
      throw errorOf("DataCloneError", "A MessagePort cannot be transferred through itself");
    }
    this.#watcher?.used();
    if (this.#stashed !== null && this.#stashed.entry !== null) {
      this.#stashed.steps.post(this.#stashed.entry, message, transfer);
      return;
    }
    const receiver = op_port_post(id ?? NO_PORT, message, transfer);
    if (receiver !== undefined) hold(receiver);
  }
  start() {
    this.#watcher?.used();
    this.#enable();
  }
  close() {
    // close(), steps 1 and 2.
    this.#detached = true;
    this.#watcher?.closed();
    if (this.#stashed !== null) {
      const { entry, steps } = this.#stashed;
      this.#stashed.entry = null;
      if (entry !== null) steps.close(entry);
      return;
    }
    const receiver = op_port_close(this.#id);
    if (receiver !== undefined) hold(receiver);
  }
  get onmessage() { return (this.#id, handlerOf(this, "message")); }
  set onmessage(value) {
    this.#id;
    setHandler(this, "message", value);
    // The first time that it is set, the port is enabled as if start() had been called.
    this.#watcher?.used();
    this.#enable();
  }
  // What a stashed port receives does not come to its views: there is nothing to start.
  #enable() {
    if (!this.#detached && this.#stashed === null && op_port_start(this.#id)) held.set(this.#id, this);
  }

  static {
    internals = {
      is: (value) => #id in value,
      // A view whose entry somebody else has closed or taken behaves as a closed port.
      detached: (port) => port.#detached || (port.#stashed !== null && port.#stashed.steps.name(port.#stashed.entry) === null),
      // What listens is held by the entangled port, if that is an object of this heap, else by the agent.
      update(port) {
        if (port.#stashed !== null) return;
        const listening = port.#target !== null || hasListener(port, "message") || hasListener(port, "messageerror") || hasListener(port, "close");
        if (op_port_listen(port.#id, listening)) held.set(port.#id, port);
        else held.delete(port.#id);
        const partner = port.#partner === undefined ? undefined : objects.get(port.#partner)?.deref();
        if (partner !== undefined) partner.#listener = listening ? port : null;
      },
      targetOf: (port) => port.#target ?? port,
      setTarget(port, target) {
        port.#target = target;
        internals.update(port);
      },
      drop(port) {
        port.#detached = true;
        port.#target = null;
        held.delete(port.#id);
        objects.delete(port.#id);
        op_port_forget(port.#id);
      },
      entangle(first, second) {
        first.#partner = second.#id;
        second.#partner = first.#id;
      },
      // The transfer steps: gives the number of the port, which leaves this object.
      transfer(port) {
        if (port.#stashed !== null) {
          const { entry, steps } = port.#stashed;
          port.#stashed.entry = null;
          port.#detached = true;
          return steps.transfer(entry);
        }
        port.#detached = true;
        port.#watcher?.used();
        const partner = port.#partner === undefined ? undefined : objects.get(port.#partner)?.deref();
        op_port_unlink(port.#id);
        port.#partner = undefined;
        port.#listener = null;
        held.delete(port.#id);
        objects.delete(port.#id);
        if (partner !== undefined) {
          partner.#partner = undefined;
          partner.#listener = null;
          internals.update(partner);
        }
        return port.#id;
      },
      watch(port, used, closed) { port.#watcher = { used, closed }; },
      changed: (port) => port.#watcher?.used(),
      // Another worker may have given the entry another name.
      stashedName(port) {
        if (port.#stashed === null) throw new TypeError("This is not a StashedMessagePort");
        const { entry, name, steps } = port.#stashed;
        return entry === null ? name : steps.name(entry) ?? name;
      },
      entry: (port) => port.#stashed?.entry ?? null,
      number: (port) => port.#id,
      moveIntoStash(port, move) {
        const entry = move(port.#id);
        internals.transfer(port);
        return entry;
      },
      becomeView(port, entry, name, steps) {
        port.#detached = entry === null;
        port.#stashed = { entry, name, steps };
      },
    };
  }
}
for (const type of ["messageerror", "close"]) defineEventHandler(MessagePort, type);
idl(MessagePort);

onListenersChanged((target) => {
  if (!internals.is(target) || internals.detached(target)) return;
  internals.changed(target);
  internals.update(target);
});

transferable(MessagePort, "MessagePort", {
  is: internals.is,
  detached: internals.detached,
  transfer: internals.transfer,
  receive: () => { throw errorOf("DataCloneError", "A port does not come as data"); },
});

export const isMessagePort = (value) => typeof value === "object" && value !== null && internals.is(value);

// An object for a port of the agent's.
export const newMessagePort = (id) => new MessagePort(HOST, id);

// Sets the message event target: `message` and `messageerror` fire at it, as long as the port is
// entangled. Not a window.
export const setMessageEventTarget = internals.setTarget;

// Destroys a port, and what is queued at it.
export const dropPort = internals.drop;

// The two ports of a channel.
export const entangle = internals.entangle;

// Whether a port is [[Detached]].
export const isDetached = internals.detached;

// The transfer steps: the number of the port, which leaves its object.
export const transferredPort = internals.transfer;

// Has `used()` called whenever a script uses the port, and `closed()` when it closes it.
export const watchPort = internals.watch;

// Moves a port into the stash by `move(id)`, which gives what it is there; if it throws, the port is as before.
// The object is detached.
export const moveIntoStash = internals.moveIntoStash;

// The number of a port that is no view.
export const portNumber = internals.number;

// Makes an object a view of an entry of the stash; a dead one if the entry is null. `steps` is
// { post(entry, message, transfer), close(entry), transfer(entry), name(entry) }; the name is null if the entry is
// gone.
export const becomeView = internals.becomeView;

// The name of a view, and its entry: null for a dead view, and for a port that is none.
export const stashedName = internals.stashedName;
export const stashedEntry = internals.entry;

function hold(id) {
  const port = objects.get(id)?.deref();
  if (port !== undefined) held.set(id, port);
}

op_set_hook("received port", newMessagePort);
op_set_hook("release port", (id) => { held.delete(id); });

op_set_hook("port message", (id, now, data, transferred) => {
  const port = held.get(id) ?? objects.get(id)?.deref();
  if (port === undefined) return;
  // Step 7.6: the MessagePort objects in deserializeRecord.[[TransferredValues]], in their order.
  const ports = transferred === undefined ? null : Object.freeze(transferred.filter(isMessagePort));
  fireNew(MessageEvent, "message", internals.targetOf(port), now, data, "", "", null, ports);
});

op_set_hook("port message error", (id) => {
  const port = objects.get(id)?.deref();
  if (port !== undefined) fire(newMessageEvent("messageerror", null), internals.targetOf(port), true);
});

op_set_hook("port close", (id) => {
  const port = objects.get(id)?.deref();
  if (port !== undefined) fireEvent(port, "close", true);
});

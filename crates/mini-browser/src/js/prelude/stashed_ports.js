// Stashed ports: self.ports, stashPort, getStashedPorts, and their events. (Reconciled API; SEMANTICS §5.3.)

import { op_settled, op_stash_add, op_stash_close, op_stash_match, op_stash_name, op_stash_post, op_stash_rename, op_stash_transfer, op_stash_when_stopped } from "ops";
import { EventTarget, defineEventHandler, setTreeOfTargets } from "./events.js";
import { Lifetime } from "./extendable.js";
import { MessageEvent } from "./message_event.js";
import { MessagePort, becomeView, isDetached, isMessagePort, moveIntoStash, portNumber, stashedEntry, stashedName } from "./message_port_class.js";
import { promising, resolvedWith } from "./promises.js";
import { global } from "./realms.js";
import { deserializeMessage, portsAmong } from "./structured_clone.js";
import { HOST, USVString, call, dictionary, errorOf, idl, illegal, required } from "./webidl.js";

export class StashedMessagePort extends MessagePort {
  constructor(token) { illegal(token); super(token, null); }
  get name() { return stashedName(this); }
}
idl(StashedMessagePort);

// Under the name that one dialect's IDL uses, too.
export { StashedMessagePort as PersistentMessagePort };

// The views of this global: one for each entry, as long as it lives.
const views = new Map();
// Entries that were closed here: what is on its way from them comes to a closed port.
const closedHere = new Set();

// What a view does with its entry.
const steps = {
  post: (entry, message, transfer) => op_stash_post(entry, message, transfer),
  close(entry) {
    views.delete(entry);
    closedHere.add(entry);
    op_stash_close(entry);
  },
  name: (entry) => op_stash_name(entry) ?? null,
  // The number of the port that leaves the stash.
  transfer(entry) {
    views.delete(entry);
    const id = op_stash_transfer(entry) ?? null;
    if (id === null) throw errorOf("DataCloneError", "A stashed port whose entry is gone could not be transferred");
    return id;
  },
};

function viewOf(entry, name) {
  let view = views.get(entry);
  if (view === undefined) {
    view = new StashedMessagePort(HOST);
    views.set(entry, view);
  }
  becomeView(view, entry, name, steps);
  return view;
}

function portOf(value, what) {
  if (!isMessagePort(value)) throw new TypeError(`${what}: the port is not a MessagePort`);
  return value;
}

// The entry of a view that is stashed again moves to its new name. False for a port that is no view.
function renamed(name, port) {
  if (isDetached(port)) throw errorOf("DataCloneError", "The port is detached: it was closed, transferred or stashed");
  const entry = stashedEntry(port);
  if (entry === null) return false;
  call(op_stash_rename, entry, name);
  becomeView(port, entry, name, steps);
  return true;
}

// stashPort(key, port): the object itself becomes the view.
export function stashPort(name, port) {
  if (renamed(name, portOf(port, "stashPort"))) return;
  const entry = moveIntoStash(port, (id) => call(op_stash_add, name, id)) ?? null;
  Object.setPrototypeOf(port, StashedMessagePort.prototype);
  becomeView(port, entry, name, steps);
  if (entry !== null) views.set(entry, port);
}

function add(name, port, options) {
  name = USVString(name);
  portOf(port, "add");
  const { whenStopped = false } = dictionary(options, "The options of add");
  if (renamed(name, port)) return port;
  if (whenStopped) {
    // The port stays what it is, with its listeners, until the worker stops.
    const id = portNumber(port);
    call(op_stash_when_stopped, name, id);
    return port;
  }
  const entry = moveIntoStash(port, (id) => call(op_stash_add, name, id)) ?? null;
  if (entry !== null) return viewOf(entry, name);
  // Nothing can come of it any more.
  const dead = new StashedMessagePort(HOST);
  becomeView(dead, null, name, steps);
  return dead;
}

// ports.match(name): in the order in which they were stashed.
export const match = (name) => resolvedWith(call(op_stash_match, name).map((entry) => viewOf(entry, name)));

export class StashedPortCollection extends EventTarget {
  #brand = true;
  constructor(token) { illegal(token); super(); }
  add(name, port, options = undefined) {
    this.#brand;
    required(arguments.length, 2, "add");
    return add(name, port, options);
  }
  match(name) {
    const given = arguments.length;
    return promising(() => {
      this.#brand;
      required(given, 1, "match");
      return match(USVString(name));
    });
  }
}
idl(StashedPortCollection);
for (const type of ["message", "messageerror", "close"]) defineEventHandler(StashedPortCollection, type);

export const ports = new StashedPortCollection(HOST);

// The get-the-parent algorithm of self.ports gives the global, so that each style of listener sees an event
// once.
setTreeOfTargets({
  parentOf: (target) => (target === ports ? global : null),
  listenersOf: () => undefined,
  isActivationEvent: () => false,
  activationOf: () => null,
});

let dispatchStashed;

export class StashedMessageEvent extends MessageEvent {
  #key;
  #redelivered;
  #lifetime = new Lifetime();
  constructor(token, type, init, key, redelivered) {
    illegal(token);
    super(type, init);
    this.#key = key;
    this.#redelivered = redelivered;
  }
  get key() { return this.#key; }
  get redelivered() { return this.#redelivered; }
  waitUntil(f) {
    this.#key;
    required(arguments.length, 1, "waitUntil");
    this.#lifetime.extend(this, f, true);
  }
  static {
    dispatchStashed = (id, event) => event.#lifetime.dispatch(event, ports, () => {}, (failure) => op_settled(id, failure));
  }
}
idl(StashedMessageEvent);

// A message of a stashed port.
export function receive(id, entry, name, message, redelivered) {
  if (closedHere.delete(entry)) return op_settled(id, null);
  const source = viewOf(entry, name);
  let event;
  try {
    const { data, transferred } = deserializeMessage(message);
    const init = { bubbles: true, data, source, ports: portsAmong(transferred) };
    event = new StashedMessageEvent(HOST, "message", init, name, redelivered);
  } catch {
    event = new StashedMessageEvent(HOST, "messageerror", { bubbles: true, source }, name, redelivered);
  }
  dispatchStashed(id, event);
}

// The other end of a stashed port is closed.
export function closed(id, entry, name) {
  if (closedHere.delete(entry)) return op_settled(id, null);
  const source = viewOf(entry, name);
  // The entry is gone: its view is dead.
  views.delete(entry);
  becomeView(source, null, name, steps);
  dispatchStashed(id, new StashedMessageEvent(HOST, "close", { bubbles: true, source }, name, false));
}

// MessageEvent. (HTML, "The MessageEvent interface".)

import { op_is_message_source } from "ops";
import { Event } from "./events.js";
import { DOMString, USVString, dictionary, idl, required, sequence } from "./webidl.js";

const { freeze } = Object;

let change;

export class MessageEvent extends Event {
  #data = null;
  #origin = "";
  #lastEventId = "";
  #source = null;
  // A frozen array, made when somebody asks.
  #ports = undefined;

  constructor(type, init = undefined) {
    required(arguments.length, 1, "MessageEvent");
    super(type, init);
    if (init === undefined || init === null) return;
    const { data = null, lastEventId = "", origin = "", ports = [], source = null } = init;
    this.#set(data, USVString(origin), DOMString(lastEventId), messageEventSource(source), messagePorts(ports));
  }
  get data() { return this.#data; }
  get origin() { return this.#origin; }
  get lastEventId() { return this.#lastEventId; }
  get source() { return this.#source; }
  get ports() { return this.#ports ??= freeze([]); }
  initMessageEvent(type, bubbles = false, cancelable = false, data = null, origin = "", lastEventId = "", source = null, ports = []) {
    required(arguments.length, 1, "initMessageEvent");
    type = DOMString(type);
    origin = USVString(origin);
    lastEventId = DOMString(lastEventId);
    source = messageEventSource(source);
    ports = messagePorts(ports);
    if (this.eventPhase !== 0) return;
    this.initEvent(type, !!bubbles, !!cancelable);
    this.#set(data, origin, lastEventId, source, ports);
  }
  #set(data, origin, lastEventId, source, ports) {
    this.#data = data;
    this.#origin = origin;
    this.#lastEventId = lastEventId;
    this.#source = source;
    this.#ports = ports;
  }
  static {
    change = (event, ...values) => event.#set(...values);
  }
}
idl(MessageEvent);

// MessageEventSource: a WindowProxy, MessagePort or ServiceWorker.
function messageEventSource(source) {
  if (source === null || source === undefined) return null;
  if (!op_is_message_source(source, null)) throw new TypeError("The source is not a Window, MessagePort or ServiceWorker");
  return source;
}

function messagePorts(ports) {
  const list = sequence(ports, (port) => {
    if (!op_is_message_source(port, "MessagePort")) throw new TypeError("The ports hold something that is not a MessagePort");
    return port;
  }, "The ports");
  return freeze(list);
}

// An event of the browser's: `ports` is an array that nobody else holds, or undefined.
export function newMessageEvent(type, data, origin = "", source = null, ports = undefined) {
  const event = new MessageEvent(type);
  change(event, data, origin, "", source, ports && freeze(ports));
  return event;
}

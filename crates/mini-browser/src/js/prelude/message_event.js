// MessageEvent. (HTML, "The MessageEvent interface".)

import { op_is_message_source, op_now } from "ops";
import { Event, MORE, knownOf, newEvent } from "./events.js";
import { DOMString, USVString, dictionary, idl, required, sequence } from "./webidl.js";

const { freeze } = Object;

// What a MessageEvent knows more than an Event. `ports` is null or a frozen array; an Event has neither.
const DATA = MORE, ORIGIN = MORE + 1, LAST_EVENT_ID = MORE + 2, SOURCE = MORE + 3, PORTS = MORE + 4;

function own(event) {
  const known = knownOf(event);
  if (known[PORTS] === undefined) throw new TypeError("This is not a MessageEvent");
  return known;
}

function set(event, data, origin, lastEventId, source, ports) {
  const known = knownOf(event);
  known[DATA] = data;
  known[ORIGIN] = origin;
  known[LAST_EVENT_ID] = lastEventId;
  known[SOURCE] = source;
  known[PORTS] = ports;
}

export class MessageEvent extends Event {
  constructor(type, init = undefined) {
    required(arguments.length, 1, "MessageEvent");
    super(type, init);
    const { data = null, lastEventId = "", origin = "", ports = [], source = null } = dictionary(init, "The event's init");
    set(this, data, USVString(origin), DOMString(lastEventId), messageEventSource(source), messagePorts(ports));
  }
  get data() {
    const known = knownOf(this);
    return known[PORTS] === undefined ? own(this) : known[DATA];
  }
  get origin() { return own(this)[ORIGIN]; }
  get lastEventId() { return own(this)[LAST_EVENT_ID]; }
  get source() { return own(this)[SOURCE]; }
  get ports() { return own(this)[PORTS] ??= freeze([]); }
  initMessageEvent(type, bubbles = false, cancelable = false, data = null, origin = "", lastEventId = "", source = null, ports = []) {
    own(this);
    required(arguments.length, 1, "initMessageEvent");
    type = DOMString(type);
    origin = USVString(origin);
    lastEventId = DOMString(lastEventId);
    source = messageEventSource(source);
    ports = messagePorts(ports);
    if (this.eventPhase !== 0) return;
    this.initEvent(type, !!bubbles, !!cancelable);
    set(this, data, origin, lastEventId, source, ports);
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

// An event of the browser's: `ports` is an array that nobody else holds, or null.
export function newMessageEvent(type, data, origin = "", source = null, ports = null, now = op_now(), lastEventId = "") {
  return newEvent(MessageEvent, type, now, data, origin, lastEventId, source, ports && freeze(ports));
}

// ExtendableMessageEvent. (Service Workers, "ExtendableMessageEvent".)

import { op_is_message_source } from "ops";
import { clientOf, Client } from "./clients.js";
import { ExtendableEvent } from "./extendable.js";
import { isServiceWorker, workerOf } from "./registration.js";
import { deserializeMessage, portsAmong } from "./structured_clone.js";
import { DOMString, USVString, dictionary, idl, required, sequence } from "./webidl.js";

const { freeze } = Object;

let fill;

export class ExtendableMessageEvent extends ExtendableEvent {
  #data = null;
  #origin = "";
  #lastEventId = "";
  #source = null;
  #ports = freeze([]);
  constructor(type, init = undefined) {
    required(arguments.length, 1, "ExtendableMessageEvent");
    super(type, init);
    const { data = null, origin = "", lastEventId = "", source = null, ports = [] } = dictionary(init, "The event's init");
    const isPort = (value) => op_is_message_source(value, "MessagePort");
    if (source !== null && !(source instanceof Client) && !isServiceWorker(source) && !isPort(source)) {
      throw new TypeError("The source is not a Client, ServiceWorker or MessagePort");
    }
    const list = sequence(ports, (port) => {
      if (!isPort(port)) throw new TypeError("The ports hold something that is not a MessagePort");
      return port;
    }, "The ports");
    this.#set(data, USVString(origin), DOMString(lastEventId), source, list);
  }
  get data() { return this.#data; }
  get origin() { return this.#origin; }
  get lastEventId() { return this.#lastEventId; }
  get source() { return this.#source; }
  get ports() { return this.#ports; }
  #set(data, origin, lastEventId, source, ports) {
    this.#data = data;
    this.#origin = origin;
    this.#lastEventId = lastEventId;
    this.#source = source;
    this.#ports = freeze(ports);
  }
  static {
    fill = (event, ...values) => { event.#set(...values); };
  }
}
idl(ExtendableMessageEvent);

// ServiceWorker.postMessage, step 6.2: the event that the worker gets.
export function newExtendableMessageEvent(message, origin, { client, worker }) {
  const source = client === undefined ? workerOf(worker) : clientOf(client);
  try {
    const { data, transferred } = deserializeMessage(message);
    const event = new ExtendableMessageEvent("message");
    fill(event, data, origin, "", source, portsAmong(transferred));
    return event;
  } catch {
    const event = new ExtendableMessageEvent("messageerror");
    fill(event, null, origin, "", source, []);
    return event;
  }
}

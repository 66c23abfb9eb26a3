// navigator.serviceWorker. (Service Workers, "ServiceWorkerContainer".)

import { op_controller, op_get_registration, op_get_registrations, op_ready, op_register, op_set_hook } from "ops";
import { foreign } from "./brands.js";
import { queueTask } from "./event_loop.js";
import { EventTarget, defineEventHandler, fire, fireEvent, handlerOf, setHandler } from "./events.js";
import { newMessageEvent } from "./message_event.js";
import { applyNotice, isDetached, registrationOf, workerOf } from "./registration.js";
import { global } from "./realms.js";
import { deserializeMessage, portsAmong } from "./structured_clone.js";
import { HOST, USVString, callAsync, dictionary, enumeration, idl, illegal, load, required } from "./webidl.js";

let clientChanged, controllerChanged, received;

export class ServiceWorkerContainer extends EventTarget {
  #controller;
  // The ready promise, with its resolver while it is pending; null until it is asked for.
  #ready = null;
  // The client message queue; null once it is enabled.
  #queue = [];
  constructor() { illegal(arguments[0]); super(); this.#controller = op_controller(); }
  get controller() {
    const view = this.#controller;
    return isDetached() ? null : workerOf(view);
  }
  get ready() {
    if (!(#ready in this)) return Promise.reject(new TypeError("ready: this is no ServiceWorkerContainer"));
    if (this.#ready === null) {
      this.#ready = Promise.withResolvers();
      this.#awaitReady();
    }
    return this.#ready.promise;
  }
  // It never rejects: for a client that is gone, it stays pending.
  #awaitReady() {
    op_ready().then((view) => this.#ready.resolve(registrationOf(view)), () => {});
  }
  async register(scriptURL, options = undefined) {
    if (!(#queue in this)) return elsewhere(this, "register", arguments);
    required(arguments.length, 1, "register");
    const url = USVString(scriptURL);
    let { scope, type = "classic", updateViaCache = "imports" } = dictionary(options, "The options of register");
    if (scope !== undefined) scope = USVString(scope);
    type = enumeration(type, ["classic", "module"], "register: type");
    updateViaCache = enumeration(updateViaCache, ["imports", "all", "none"], "register: updateViaCache");
    return registrationOf(await callAsync(op_register, url, scope ?? null, type, updateViaCache));
  }
  async getRegistration(clientURL = "") {
    if (!(#queue in this)) return elsewhere(this, "getRegistration", arguments);
    const view = await callAsync(op_get_registration, USVString(clientURL));
    return registrationOf(view) ?? undefined;
  }
  async getRegistrations() {
    this.#controller;
    return Object.freeze((await callAsync(op_get_registrations)).map(registrationOf));
  }
  startMessages() {
    const queue = this.#queue;
    this.#queue = null;
    // The tasks of an enabled queue run when their turn comes.
    for (const message of queue ?? []) queueTask("dom", () => this.#deliver(message));
  }
  get onmessage() { return (this.#controller, handlerOf(this, "message")); }
  set onmessage(value) {
    this.#controller;
    setHandler(this, "message", value);
    // The first time that it is set, the client message queue is enabled.
    this.startMessages();
  }
  // Client.postMessage, step 4.4.
  #deliver({ number, origin, source, registration }) {
    registrationOf(registration);
    const from = workerOf(source);
    let event;
    try {
      const { data, transferred } = deserializeMessage(number);
      event = newMessageEvent("message", data, origin, from, portsAmong(transferred));
    } catch {
      event = newMessageEvent("messageerror", null, origin, from);
    }
    fire(event, this, true);
  }
  static {
    received = (container, message) => {
      if (container.#queue === null) container.#deliver(message);
      else container.#queue.push(message);
    };
    clientChanged = (container) => {
      container.#controller = op_controller();
      if (container.#ready !== null) container.#awaitReady();
    };
    controllerChanged = (container, controller) => {
      container.#controller = controller;
      fireEvent(container, "controllerchange", true);
    };
  }
}
idl(ServiceWorkerContainer);
for (const type of ["controllerchange", "messageerror"]) defineEventHandler(ServiceWorkerContainer, type);

export const container = new ServiceWorkerContainer(HOST);

// A container of another realm of this agent is asked there: URLs are relative to its global.
const { register, getRegistration } = ServiceWorkerContainer.prototype;
op_set_hook("service worker container", (value) => (value === container ? { register, getRegistration } : null));

function elsewhere(value, operation, args) {
  const operations = foreign("service worker container", value);
  if (operations === null) throw new TypeError(`${operation}: this is no ServiceWorkerContainer`);
  return Reflect.apply(operations[operation], value, args);
}

// The queue is enabled at the latest when the document has been parsed: right after DOMContentLoaded.
if (global.document === undefined || load("dom/loading.js").isContentLoaded(global.document)) container.startMessages();
else global.addEventListener("DOMContentLoaded", () => container.startMessages(), { once: true });

// A message of a service worker's.
export function clientMessage(number, origin, source, registration) {
  received(container, { number, origin, source, registration });
}

// What the browser says of registrations. Before this module is loaded, no object is there to change.
op_set_hook("notice", (kind, detail) => {
  if (kind === "controllerChanged") controllerChanged(container, detail.controller);
  else applyNotice(kind, detail);
});

// The window of the initial about:blank shows its first document: another client.
op_set_hook("client changed", () => clientChanged(container));

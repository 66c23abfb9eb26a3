// ServiceWorkerRegistration and ServiceWorker objects, one for each registration and worker of a
// realm. (Service Workers, "ServiceWorker", "ServiceWorkerRegistration".)

import { op_navigable, op_post_to_worker, op_unregister, op_update } from "ops";
import { EventTarget, defineEventHandler, fireEvent } from "./events.js";
import { global, windowProxy } from "./realms.js";
import { transferList } from "./structured_clone.js";
import { HOST, callAsync, errorOf, idl, illegal, load, required } from "./webidl.js";

// Ids to objects: the same registration or worker is the same object.
const registrations = new Map();
const workers = new Map();

// Whether this is a window whose document is no longer the active one of its navigable.
export function isDetached() { return windowProxy !== global && (op_navigable() ?? null) === null; }

let isWorker, updateWorker, updateRegistration;

export class ServiceWorker extends EventTarget {
  #view;
  constructor() { illegal(arguments[0]); super(); this.#view = arguments[1]; }
  get scriptURL() { return this.#view.scriptUrl; }
  get state() { return this.#view.state; }
  postMessage(message, options = undefined) {
    const { id } = this.#view;
    required(arguments.length, 1, "postMessage");
    if (isDetached()) throw errorOf("InvalidStateError", "postMessage: the document is not shown any more");
    op_post_to_worker(id, message, transferList(options));
  }
  static {
    isWorker = (value) => typeof value === "object" && value !== null && #view in value;
    // True if the state changed.
    updateWorker = (worker, state) => {
      if (worker.#view.state === state) return false;
      worker.#view = { ...worker.#view, state };
      return true;
    };
  }
}
idl(ServiceWorker);
defineEventHandler(ServiceWorker, "statechange");
defineEventHandler(ServiceWorker, "error");

export class ServiceWorkerRegistration extends EventTarget {
  #view;
  #navigationPreload = null;
  constructor() { illegal(arguments[0]); super(); this.#view = arguments[1]; }
  get installing() { return workerOf(this.#view.installing); }
  get waiting() { return workerOf(this.#view.waiting); }
  get active() { return workerOf(this.#view.active); }
  get navigationPreload() {
    const { id } = this.#view;
    return this.#navigationPreload ??= new (load("navigation_preload.js").NavigationPreloadManager)(HOST, id);
  }
  get scope() { return this.#view.scope; }
  get updateViaCache() { return this.#view.updateViaCache; }
  async update() { return registrationOf(await callAsync(op_update, this.#view.id)); }
  async unregister() { return await callAsync(op_unregister, this.#view.id); }
  static {
    updateRegistration = (registration, view) => { registration.#view = view; };
  }
}
idl(ServiceWorkerRegistration);
defineEventHandler(ServiceWorkerRegistration, "updatefound");

export const isServiceWorker = (value) => isWorker(value);

// The object of a worker, or null. A new one has the state that the view says; one that exists
// keeps its state until its statechange, of which there is none when it has been parsed.
export function workerOf(view) {
  if (view === null || view === undefined) return null;
  let worker = workers.get(view.id);
  if (worker === undefined) workers.set(view.id, worker = new ServiceWorker(HOST, view));
  else if (worker.state === "parsed") updateWorker(worker, view.state);
  return worker;
}

// The object of a registration, brought up to date.
export function registrationOf(view) {
  if (view === null || view === undefined) return null;
  let registration = registrations.get(view.id);
  if (registration === undefined) registrations.set(view.id, registration = new ServiceWorkerRegistration(HOST, view));
  else updateRegistration(registration, view);
  for (const slot of [view.installing, view.waiting, view.active]) workerOf(slot);
  return registration;
}

// What the browser tells of a registration. Events fire only at objects that scripts can know.
export function applyNotice(kind, detail) {
  const known = registrations.has(detail.registration.id);
  if (kind === "updateFound") {
    if (known) fireEvent(registrationOf(detail.registration), "updatefound", true);
    return;
  }
  if (known) registrationOf(detail.registration);
  const worker = workers.get(detail.worker);
  if (worker !== undefined && updateWorker(worker, detail.state)) fireEvent(worker, "statechange", true);
}

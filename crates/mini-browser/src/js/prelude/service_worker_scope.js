// ServiceWorkerGlobalScope. (Service Workers, "Execution context".)

import { op_claim, op_close_imports, op_listeners, op_load, op_settled, op_set_hook, op_skip_waiting, op_worker_facts } from "ops";
import { callbacksOf, defineEventHandler, onListenersChanged, typesOf } from "./events.js";
import { ExtendableEvent, InstallEvent, dispatchExtendable, newInstallEvent } from "./extendable.js";
import { installGlobalScope } from "./global_scope.js";
import { global } from "./realms.js";
import { HOST, callAsync, errorOf, idl, illegal, install, lazy } from "./webidl.js";
import { WorkerGlobalScope } from "./worker_global_scope.js";

class ServiceWorkerGlobalScope extends WorkerGlobalScope {
  constructor(token) { illegal(token); super(token); }
  get registration() { return registrations().own; }
  get serviceWorker() { return registrations().self; }
  get clients() { return clients; }
  async skipWaiting() { await callAsync(op_skip_waiting); }
}
idl(ServiceWorkerGlobalScope);
for (const type of ["install", "activate", "fetch", "message", "messageerror", "connect", "crossoriginconnect", "push", "close"]) {
  defineEventHandler(ServiceWorkerGlobalScope, type);
}

class Clients {
  constructor(token) { illegal(token); }
  async claim() { await callAsync(op_claim); }
  async get() { throw errorOf("NotSupportedError", "clients.get is not offered yet"); }
  async matchAll() { throw errorOf("NotSupportedError", "clients.matchAll is not offered yet"); }
  async openWindow() { throw errorOf("NotSupportedError", "clients.openWindow is not offered yet"); }
}
idl(Clients);

const clients = new Clients(HOST);

let known;

// The module of registrations, with this worker's and its registration's objects, made at first use.
function registrations() {
  if (known === undefined) {
    const { applyNotice, registrationOf, workerOf } = op_load("registration.js");
    const worker = op_worker_facts();
    known = { applyNotice, own: registrationOf(worker.registration), self: workerOf(worker.self) };
  }
  return known;
}

installGlobalScope(ServiceWorkerGlobalScope);
install({ WorkerGlobalScope, ServiceWorkerGlobalScope, Clients, ExtendableEvent, InstallEvent });
lazy("registration.js", ["ServiceWorker", "ServiceWorkerRegistration"]);
lazy("worker_location.js", ["WorkerLocation", "WorkerNavigator"]);
lazy("fetch_event.js", ["FetchEvent"]);
lazy("connect_event.js", ["ConnectEvent", "ConnectionEvent", "CrossOriginConnectEvent"]);

// Forms of a function that has an empty body, for "all fetch listeners are empty". What is not
// recognized counts as a body.
const PARAMETERS = String.raw`\(\s*[\w$\s,]*\)`;
const EMPTY = new RegExp(String.raw`^(async\s+)?(function\b\s*[\w$]*\s*${PARAMETERS}|${PARAMETERS}\s*=>|[\w$]+\s*=>|[\w$]+\s*${PARAMETERS})\s*\{\s*\}$`);
const COMMENTS = /\/\*[^]*?\*\/|\/\/[^\n]*/g;
const sourceOf = Function.prototype.toString;

function isEmptyFunction(callback) {
  return typeof callback === "function" && EMPTY.test(Reflect.apply(sourceOf, callback, []).replace(COMMENTS, "").trim());
}

// The listeners: their types, and what the fetch listeners amount to.
op_set_hook("listeners", () => {
  const fetches = callbacksOf(global, "fetch");
  return { types: typesOf(global), fetches: fetches.length, empty: fetches.filter(isEmptyFunction).length };
});
onListenersChanged((target) => {
  if (target === global) op_listeners(typesOf(global));
});

op_set_hook("install", (id) => dispatchExtendable(newInstallEvent(id), (failure) => {
  op_close_imports();
  op_settled(id, failure);
}));
op_set_hook("activate", (id) => dispatchExtendable(new ExtendableEvent("activate"), (failure) => op_settled(id, failure)));
op_set_hook("connect", (id, type, detail) => {
  const { newConnectEvent } = op_load("connect_event.js");
  dispatchExtendable(newConnectEvent(type, detail), (failure) => op_settled(id, failure));
});

op_set_hook("fetch", (id, detail, body) => op_load("fetch_event.js").dispatchFetch(id, detail, body));
op_set_hook("notice", (kind, detail) => registrations().applyNotice(kind, detail));

// ServiceWorkerGlobalScope. (Service Workers, "Execution context".)

import { op_listeners, op_load, op_settled, op_set_hook, op_skip_waiting, op_worker_facts } from "ops";
import { callbacksOf, defineEventHandler, onListenersChanged, typesOf } from "./events.js";
import { makeExotic } from "./exotic_global.js";
import { ExtendableEvent, InstallEvent, dispatchExtendable, newInstallEvent } from "./extendable.js";
import { installGlobalScope, lazyServiceWorkers } from "./global_scope.js";
import { promising } from "./promises.js";
import { global } from "./realms.js";
import { USVString, callAsync, givesPromise, globalMembers, idl, illegal, install, lazy, required } from "./webidl.js";
import { WorkerGlobalScope } from "./worker_global_scope.js";

class ServiceWorkerGlobalScope extends WorkerGlobalScope {
  constructor() { illegal(arguments[0]); super(arguments[0]); }
  get registration() { return registrations().own; }
  get serviceWorker() { return registrations().self; }
  get ports() { return stash().ports; }
  stashPort(key, port) {
    required(arguments.length, 2, "stashPort");
    stash().stashPort(USVString(key), port);
  }
  getStashedPorts(key) {
    const given = arguments.length;
    return promising(() => {
      required(given, 1, "getStashedPorts");
      return stash().match(USVString(key));
    });
  }
  get clients() { return op_load("clients.js").clients; }
  async skipWaiting() { await callAsync(op_skip_waiting); }
}
idl(ServiceWorkerGlobalScope);
for (const type of ["install", "activate", "fetch", "message", "messageerror", "connect", "crossoriginconnect", "push", "close"]) {
  defineEventHandler(ServiceWorkerGlobalScope, type);
}

givesPromise(ServiceWorkerGlobalScope.prototype.skipWaiting);
globalMembers(ServiceWorkerGlobalScope);

let known;

// The module of stashed ports.
function stash() {
  const module = op_load("stashed_ports.js");
  ports = module.ports;
  return module;
}

// The module of registrations, with this worker's and its registration's objects, made at first use.
function registrations() {
  if (known === undefined) {
    const { applyNotice, registrationOf, workerOf } = op_load("registration.js");
    const worker = op_worker_facts();
    known = { applyNotice, own: registrationOf(worker.registration), self: workerOf(worker.self) };
  }
  return known;
}

installGlobalScope(ServiceWorkerGlobalScope, WorkerGlobalScope.prototype);
makeExotic(ServiceWorkerGlobalScope);
install({ WorkerGlobalScope, ServiceWorkerGlobalScope, ExtendableEvent, InstallEvent });
lazy("clients.js", ["Clients", "Client", "WindowClient"]);
lazy("extendable_message_event.js", ["ExtendableMessageEvent"]);
lazyServiceWorkers();
lazy("worker_location.js", ["WorkerLocation", "WorkerNavigator"]);
lazy("fetch_event.js", ["FetchEvent"]);
lazy("connect_event.js", ["ConnectEvent", "ConnectionEvent", "CrossOriginConnectEvent", "ForeignServiceWorkerClient"]);
lazy("push_event.js", ["PushEvent", "PushMessageData"]);
lazy("stashed_ports.js", ["StashedPortCollection", "StashedMessagePort", "PersistentMessagePort", "StashedMessageEvent"]);

// Forms of a function that has an empty body, for "all fetch listeners are empty". What is not
// recognized counts as a body.
const PARAMETERS = String.raw`\(\s*[\w$\s,]*\)`;
const EMPTY = new RegExp(String.raw`^(async\s+)?(function\b\s*[\w$]*\s*${PARAMETERS}|${PARAMETERS}\s*=>|[\w$]+\s*=>|[\w$]+\s*${PARAMETERS})\s*\{\s*\}$`);
const COMMENTS = /\/\*[^]*?\*\/|\/\/[^\n]*/g;
const sourceOf = Function.prototype.toString;

function isEmptyFunction(callback) {
  return typeof callback === "function" && EMPTY.test(Reflect.apply(sourceOf, callback, []).replace(COMMENTS, "").trim());
}

// self.ports, once a script has asked for it.
let ports = null;

// What is listened to, at the global or at self.ports.
const types = () => (ports === null ? typesOf(global) : [...new Set([...typesOf(global), ...typesOf(ports)])]);

// The listeners: their types, and what the fetch listeners amount to.
op_set_hook("listeners", () => {
  const fetches = callbacksOf(global, "fetch");
  return { types: types(), fetches: fetches.length, empty: fetches.filter(isEmptyFunction).length };
});
onListenersChanged((target) => {
  if (target === global || target === ports) op_listeners(types());
});

op_set_hook("install", (id) => dispatchExtendable(newInstallEvent(id), (failure) => op_settled(id, failure)));
op_set_hook("activate", (id) => dispatchExtendable(new ExtendableEvent("activate"), (failure) => op_settled(id, failure)));
op_set_hook("message", (id, message, origin, source) => {
  registrations();
  const { newExtendableMessageEvent } = op_load("extendable_message_event.js");
  dispatchExtendable(newExtendableMessageEvent(message, origin, source), (failure) => op_settled(id, failure));
});
op_set_hook("connect", (id, type, detail, record) => op_load("connect_event.js").dispatchConnect(id, type, detail, record));
op_set_hook("push", (id, data) => op_load("push_event.js").dispatchPush(id, data));
op_set_hook("stashed message", (...message) => stash().receive(...message));
op_set_hook("stashed close", (...closed) => stash().closed(...closed));

op_set_hook("fetch", (id, detail, body) => op_load("fetch_event.js").dispatchFetch(id, detail, body));
op_set_hook("notice", (kind, detail) => registrations().applyNotice(kind, detail));

// DedicatedWorkerGlobalScope. (HTML, "Dedicated workers and the DedicatedWorkerGlobalScope interface".)

import { op_close_worker, op_load, op_set_hook, op_worker_name } from "ops";
import { defineEventHandler } from "./events.js";
import { facts, installGlobalScope, lazyServiceWorkers } from "./global_scope.js";
import { newMessagePort, setMessageEventTarget } from "./message_port_class.js";
import { global } from "./realms.js";
import "./test_report.js";
import { idl, illegal, install, lazy, replaceable } from "./webidl.js";
import { WorkerGlobalScope } from "./worker_global_scope.js";

// The worker's implicit port.
let inside;

class DedicatedWorkerGlobalScope extends WorkerGlobalScope {
  constructor() { illegal(arguments[0]); super(arguments[0]); }
  postMessage(message, options = undefined) {
    if (arguments.length < 1) throw new TypeError("postMessage: 1 argument required, but only 0 present");
    inside.postMessage(message, options);
  }
  close() { op_close_worker(); }
}
idl(DedicatedWorkerGlobalScope);
for (const type of ["message", "messageerror"]) defineEventHandler(DedicatedWorkerGlobalScope, type);

installGlobalScope(DedicatedWorkerGlobalScope, WorkerGlobalScope.prototype);
install({ WorkerGlobalScope, DedicatedWorkerGlobalScope });
replaceable("name", op_worker_name);
lazy("worker_location.js", ["WorkerLocation", "WorkerNavigator"]);
lazy("file_reader_sync.js", ["FileReaderSync"]);
lazy("xhr.js", ["XMLHttpRequest", "XMLHttpRequestEventTarget", "XMLHttpRequestUpload"]);
lazy("worker.js", ["Worker"]);

// What the browser says of registrations, and messages of service workers.
op_set_hook("clientMessage", (...message) => op_load("container.js").clientMessage(...message));
if (facts.secure) lazyServiceWorkers();

op_set_hook("insidePort", (id) => {
  inside = newMessagePort(id);
  setMessageEventTarget(inside, global);
});
op_set_hook("evaluated", () => inside.start());

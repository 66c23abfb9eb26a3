// DedicatedWorkerGlobalScope. (HTML, "Dedicated workers and the DedicatedWorkerGlobalScope interface".)

import { op_close_worker, op_set_hook } from "ops";
import { installAuthorWorkerScope } from "./author_worker_scope.js";
import { defineEventHandler } from "./events.js";
import { newMessagePort, setMessageEventTarget } from "./message_port_class.js";
import { global } from "./realms.js";
import "./test_report.js";
import { idl, illegal } from "./webidl.js";
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

installAuthorWorkerScope(DedicatedWorkerGlobalScope);

op_set_hook("insidePort", (id) => {
  inside = newMessagePort(id);
  setMessageEventTarget(inside, global);
});
op_set_hook("evaluated", () => inside.start());

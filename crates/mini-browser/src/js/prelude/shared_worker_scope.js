// SharedWorkerGlobalScope. (HTML, "Shared workers and the SharedWorkerGlobalScope interface".)

import { op_close_worker, op_set_hook } from "ops";
import { installAuthorWorkerScope } from "./author_worker_scope.js";
import { defineEventHandler, fire } from "./events.js";
import { newMessageEvent } from "./message_event.js";
import { newMessagePort } from "./message_port_class.js";
import { global } from "./realms.js";
import { idl, illegal } from "./webidl.js";
import { WorkerGlobalScope } from "./worker_global_scope.js";

class SharedWorkerGlobalScope extends WorkerGlobalScope {
  constructor() { illegal(arguments[0]); super(arguments[0]); }
  close() { op_close_worker(); }
}
idl(SharedWorkerGlobalScope);
defineEventHandler(SharedWorkerGlobalScope, "connect");

installAuthorWorkerScope(SharedWorkerGlobalScope);

// new SharedWorker(), step 11.5.7, and "run a worker", step 25: another object is connected.
op_set_hook("connect", (id) => {
  const inside = newMessagePort(id);
  fire(newMessageEvent("connect", "", "", inside, [inside]), global, true);
});

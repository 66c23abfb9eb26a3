// What the globals of dedicated and shared workers have in common. (HTML, "Workers".)

import { op_load, op_set_hook, op_worker_name } from "ops";
import { makeExotic } from "./exotic_global.js";
import { facts, installGlobalScope, lazyServiceWorkers } from "./global_scope.js";
import { install, lazy, replaceable } from "./webidl.js";
import { WorkerGlobalScope } from "./worker_global_scope.js";

// Installs the global; `Class` is its interface.
export function installAuthorWorkerScope(Class) {
  installGlobalScope(Class, WorkerGlobalScope.prototype);
  makeExotic(Class);
  install({ WorkerGlobalScope, [Class.name]: Class });
  replaceable("name", op_worker_name);
  lazy("worker_location.js", ["WorkerLocation", "WorkerNavigator"]);
  lazy("file_reader_sync.js", ["FileReaderSync"]);
  lazy("xhr.js", ["XMLHttpRequest"]);
  lazy("xhr_event_targets.js", ["XMLHttpRequestEventTarget", "XMLHttpRequestUpload"]);
  lazy("worker.js", ["Worker"]);
  if (facts.secure) lazyServiceWorkers();
}

// The messages of service workers.
op_set_hook("clientMessage", (...message) => op_load("container.js").clientMessage(...message));

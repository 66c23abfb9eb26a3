// Worker. (HTML, "Dedicated workers and the Worker interface".)

import { op_escalate, op_resolve_url, op_set_hook, op_start_worker, op_terminate_worker } from "ops";
import { ErrorEvent } from "./event_classes.js";
import { EventTarget, defineEventHandler, fire, fireEvent } from "./events.js";
import { dropPort, newMessagePort, setMessageEventTarget } from "./message_port_class.js";
import { own } from "./own.js";
import { global } from "./realms.js";
import { DOMString, USVString, call, dictionary, enumeration, errorOf, idl, required } from "./webidl.js";

// By number, as long as they run.
const workers = new Map();

export class Worker extends EventTarget {
  #id;
  #outside;
  constructor(scriptURL, options = undefined) {
    required(arguments.length, 1, "Worker");
    super();
    const url = USVString(scriptURL);
    const { credentials = "same-origin", name = "", type = "classic" } = dictionary(options, "The options of Worker");
    const wanted = [
      enumeration(type, ["classic", "module"], "Worker: type"),
      enumeration(credentials, ["omit", "same-origin", "include"], "Worker: credentials"),
      DOMString(name),
    ];
    const resolved = op_resolve_url(own.id, url);
    if (resolved === null || resolved === undefined) throw errorOf("SyntaxError", `Worker: '${url}' is not a valid URL`);
    const [id, outside] = call(op_start_worker, resolved, ...wanted);
    this.#id = id;
    this.#outside = newMessagePort(outside);
    setMessageEventTarget(this.#outside, this);
    this.#outside.start();
    workers.set(id, this);
  }
  terminate() {
    // Terminate a worker: what its port has queued is dropped.
    workers.delete(this.#id);
    dropPort(this.#outside);
    op_terminate_worker(this.#id);
  }
  postMessage(message, options = undefined) {
    required(arguments.length, 1, "postMessage");
    this.#outside.postMessage(message, options);
  }
}
idl(Worker);
for (const type of ["error", "message", "messageerror"]) defineEventHandler(Worker, type);

// Report an exception, step 7: at the Worker object first, then at the global.
op_set_hook("workerError", (id, message, filename, lineno, colno) => {
  const worker = workers.get(id);
  if (worker === undefined) return;
  const event = () => new ErrorEvent("error", { cancelable: true, message, filename, lineno, colno, error: null });
  if (!fire(event(), worker, true)) return;
  if (fire(event(), global, true)) op_escalate(message, filename, lineno, colno);
});

// Run a worker, when there is no script.
op_set_hook("workerFailed", (id) => {
  const worker = workers.get(id);
  if (worker !== undefined) fireEvent(worker, "error", true);
});

op_set_hook("workerEnded", (id) => { workers.delete(id); });

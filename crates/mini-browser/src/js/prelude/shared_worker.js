// SharedWorker. (HTML, "Shared workers and the SharedWorker interface".)

import { op_connect_shared_worker, op_resolve_url, op_set_hook } from "ops";
import { EventTarget, defineEventHandler, fireEvent } from "./events.js";
import { newMessagePort } from "./message_port_class.js";
import { own } from "./own.js";
import { DOMString, USVString, call, dictionary, enumeration, errorOf, idl, required } from "./webidl.js";

// By number, until their workers run or have failed: nothing happens at them later.
const starting = new Map();

export class SharedWorker extends EventTarget {
  #port;
  constructor(scriptURL, options = undefined) {
    required(arguments.length, 1, "SharedWorker");
    super();
    const url = USVString(scriptURL);
    // Step 2: a string is the name.
    const isName = options !== undefined && options !== null && typeof options !== "object" && typeof options !== "function";
    const { credentials = "same-origin", name = "", type = "classic" } = isName ? { name: options } : dictionary(options, "The options of SharedWorker");
    const wanted = [
      enumeration(type, ["classic", "module"], "SharedWorker: type"),
      enumeration(credentials, ["omit", "same-origin", "include"], "SharedWorker: credentials"),
      DOMString(name),
    ];
    // Steps 4 and 5.
    const resolved = op_resolve_url(own.id, url);
    if (resolved === null || resolved === undefined) throw errorOf("SyntaxError", `SharedWorker: '${url}' is not a valid URL`);
    const [id, outside] = call(op_connect_shared_worker, resolved, ...wanted);
    this.#port = newMessagePort(outside);
    starting.set(id, this);
  }
  get port() { return this.#port; }
}
idl(SharedWorker);
defineEventHandler(SharedWorker, "error");

// Its worker runs, or there is no such worker.
op_set_hook("sharedWorkerConnected", (id) => { starting.delete(id); });
op_set_hook("sharedWorkerFailed", (id) => {
  const worker = starting.get(id);
  starting.delete(id);
  if (worker !== undefined) fireEvent(worker, "error", true);
});

// WorkerGlobalScope. (HTML, "The WorkerGlobalScope common interface".)

import { op_evaluate, op_fetch_import, op_is_module_worker, op_load, op_resolve_blob, op_resolve_url } from "ops";
import { EventTarget, defineEventHandler } from "./events.js";
import { own } from "./own.js";
import { global } from "./realms.js";
import { USVString, call, errorOf, idl, illegal } from "./webidl.js";

export class WorkerGlobalScope extends EventTarget {
  constructor() { illegal(arguments[0]); super(); }
  get self() { return global; }
  get location() { return op_load("worker_location.js").location; }
  get navigator() { return op_load("worker_location.js").navigator; }
  // Import scripts into worker global scope.
  importScripts(...urls) {
    if (op_is_module_worker()) throw new TypeError("importScripts cannot be used in a module worker");
    const resolved = urls.map((url) => {
      const parsed = op_resolve_url(own.id, USVString(url));
      if (parsed === null || parsed === undefined) throw errorOf("SyntaxError", `importScripts: '${url}' is not a valid URL`);
      // What a blob: URL leads to is settled when it is parsed.
      return { parsed, blob: parsed.startsWith("blob:") ? op_load("kept.js").keep("blob", op_resolve_blob(parsed) ?? null) : null };
    });
    for (const { parsed, blob } of resolved) {
      const script = call(op_fetch_import, parsed, blob?.id ?? null);
      try {
        op_evaluate(script.source, script.url);
      } catch (error) {
        // Run a classic script, step 8: what a script of another origin throws is not shown.
        if (script.muted) throw errorOf("NetworkError", `importScripts: a script of another origin failed`);
        throw error;
      }
    }
  }
}
idl(WorkerGlobalScope);
for (const type of ["error", "languagechange", "offline", "online", "rejectionhandled", "unhandledrejection"]) {
  defineEventHandler(WorkerGlobalScope, type);
}

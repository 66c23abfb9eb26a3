// What every global has. (HTML, "WindowOrWorkerGlobalScope".)

import { op_facts, op_has, op_load } from "ops";
import { DOMException } from "./dom_exception.js";
import * as events from "./events.js";
import * as timers from "./timers.js";
import { install, lazy, replaceable } from "./webidl.js";

export const facts = op_facts();

// Installs it; `Class` is the global's interface, whose prototype the global object gets.
export function installGlobalScope(Class) {
  Object.setPrototypeOf(globalThis, Class.prototype);
  const { Event, EventTarget, CustomEvent, ErrorEvent, PromiseRejectionEvent } = events;
  install({ DOMException, Event, EventTarget, CustomEvent, ErrorEvent, PromiseRejectionEvent });
  for (const [name, value] of Object.entries({ ...timers, queueMicrotask: events.queueMicrotask, reportError: events.reportError })) {
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
  }
  const modules = { op_has, op_load };
  lazy(modules, "console.js", ["console"]);
  lazy(modules, "encoding.js", ["TextEncoder", "TextDecoder", "btoa", "atob"]);
  lazy(modules, "url.js", ["URL", "URLSearchParams"]);
  lazy(modules, "performance.js", ["performance", "Performance", "crypto", "Crypto"]);
  lazy(modules, "abort.js", ["AbortController", "AbortSignal"]);
  lazy(modules, "headers.js", ["Headers"]);
  lazy(modules, "request.js", ["Request"]);
  lazy(modules, "response.js", ["Response"]);
  lazy(modules, "fetch.js", ["fetch"]);
  lazy(modules, "caches.js", ["caches", "Cache", "CacheStorage"]);
  replaceable("self", globalThis);
  replaceable("origin", facts.origin);
  Object.defineProperty(globalThis, "isSecureContext", { get: () => facts.secure, enumerable: true, configurable: true });
  Object.defineProperty(globalThis, "crossOriginIsolated", { get: () => false, enumerable: true, configurable: true });
}

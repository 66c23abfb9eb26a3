// What every global has. (HTML, "WindowOrWorkerGlobalScope".)

import { op_facts } from "ops";
import { checkCodeGeneration } from "./code_generation.js";
import { Event, EventTarget, queueMicrotask, reportError } from "./events.js";
import "./promises.js";
import { global } from "./realms.js";
import { attribute, install, lazy, lazyOperations, load, replaceable } from "./webidl.js";

export const facts = op_facts();

// The interfaces of service workers that every secure global has.
export function lazyServiceWorkers() {
  lazy("container.js", ["ServiceWorkerContainer"]);
  lazy("registration.js", ["ServiceWorker", "ServiceWorkerRegistration"]);
  lazy("navigation_preload.js", ["NavigationPreloadManager"]);
}

// Installs it; `Class` is the global's interface, whose prototype the global object gets. Its attributes and operations
// are the global's own if that interface declares them, which is [Global], or else those of the prototype that does.
export function installGlobalScope(Class, holder = global) {
  Object.setPrototypeOf(global, Class.prototype);
  // The engine's own, which would hide the interfaces'.
  for (const key of [Symbol.toStringTag, "performance", "queueMicrotask", "atob", "btoa"]) delete global[key];
  install({ Event, EventTarget });
  for (const value of [queueMicrotask, reportError]) {
    Object.defineProperty(holder, value.name, { value, writable: true, enumerable: true, configurable: true });
  }
  lazyOperations("timers.js", ["setTimeout", "setInterval", "clearTimeout", "clearInterval"], holder);
  lazy("dom_exception.js", ["DOMException"]);
  lazy("event_classes.js", ["CloseEvent", "CustomEvent", "ErrorEvent", "PromiseRejectionEvent"]);
  lazyOperations("structured_clone.js", ["structuredClone"], holder);
  lazy("message_event.js", ["MessageEvent"]);
  lazy("message_channel.js", ["MessageChannel"]);
  lazy("message_port_class.js", ["MessagePort"]);
  lazy("broadcast_channel.js", ["BroadcastChannel"]);
  lazy("console.js", ["console"]);
  lazy("encoding.js", ["TextEncoder", "TextDecoder"]);
  lazyOperations("base64.js", ["btoa", "atob"], holder);
  lazy("streams/encoding_streams.js", ["TextEncoderStream", "TextDecoderStream"]);
  lazy("streams/compression_streams.js", ["CompressionStream", "DecompressionStream"]);
  lazy("url.js", ["URL", "URLSearchParams"]);
  lazy("url_pattern.js", ["URLPattern"]);
  lazy("streams/queuing_strategies.js", ["ByteLengthQueuingStrategy", "CountQueuingStrategy"]);
  lazy("streams/readable_stream.js", ["ReadableStream"]);
  lazy("streams/readers.js", ["ReadableStreamDefaultReader", "ReadableStreamBYOBReader"]);
  lazy("streams/default_controller.js", ["ReadableStreamDefaultController"]);
  lazy("streams/byte_controller.js", ["ReadableByteStreamController", "ReadableStreamBYOBRequest"]);
  lazy("streams/writable_stream.js", ["WritableStream"]);
  lazy("streams/writable_writer.js", ["WritableStreamDefaultWriter"]);
  lazy("streams/writable_controller.js", ["WritableStreamDefaultController"]);
  lazy("streams/transform_stream.js", ["TransformStream", "TransformStreamDefaultController"]);
  replaceable("performance", () => load("performance.js").performance, holder);
  lazy("performance.js", ["Performance", "PerformanceEntry", "PerformanceMark", "PerformanceMeasure"]);
  lazy("performance_observer.js", ["PerformanceObserver", "PerformanceObserverEntryList"]);
  lazy("resource_timing.js", ["PerformanceResourceTiming"]);
  attribute(holder, "crypto", () => load("crypto.js").crypto);
  lazy("crypto.js", facts.secure ? ["Crypto", "SubtleCrypto"] : ["Crypto"]);
  lazy("abort.js", ["AbortController", "AbortSignal"]);
  lazy("blob.js", ["Blob"]);
  lazy("file.js", ["File", "FileList"]);
  lazy("file_reader.js", ["FileReader"]);
  lazy("progress_event.js", ["ProgressEvent"]);
  lazy("headers.js", ["Headers"]);
  lazy("request.js", ["Request"]);
  lazy("response.js", ["Response"]);
  lazyOperations("fetch.js", ["fetch", "local_fetch"], holder);
  lazy("form_data.js", ["FormData"]);
  lazy("event_source.js", ["EventSource"]);
  if (facts.secure) lazy("storage_manager.js", ["StorageManager"]);
  attribute(holder, "caches", () => load("caches.js").caches);
  lazy("caches.js", ["Cache", "CacheStorage"]);
  replaceable("origin", () => facts.origin, holder);
  attribute(holder, "isSecureContext", () => facts.secure);
  attribute(holder, "crossOriginIsolated", () => false);
  checkCodeGeneration();
}

// PerformanceResourceTiming and PerformanceNavigationTiming. (Resource Timing; Navigation Timing.)

import { PerformanceEntry } from "./performance.js";
import { HOST, idl, illegal, load } from "./webidl.js";

const { defineProperty, getOwnPropertyDescriptor } = Object;

// Attributes that are what the host says.
const RESOURCE = [
  "initiatorType", "deliveryType", "nextHopProtocol", "workerStart", "workerRouterEvaluationStart", "workerCacheLookupStart",
  "workerMatchedRouterSource", "workerFinalRouterSource", "redirectStart", "redirectEnd", "fetchStart", "domainLookupStart",
  "domainLookupEnd", "connectStart", "connectEnd", "secureConnectionStart", "requestStart", "responseStart", "responseEnd",
  "transferSize", "encodedBodySize", "decodedBodySize", "responseStatus", "contentType",
];
// Those that are when the document did what.
const DOCUMENT = ["domInteractive", "domContentLoadedEventStart", "domContentLoadedEventEnd", "domComplete", "loadEventStart", "loadEventEnd"];
const NAVIGATION = ["type", "redirectCount"];

let timingOf;

export class PerformanceResourceTiming extends PerformanceEntry {
  #timing;
  constructor(token, timing, entryType = "resource") {
    illegal(token);
    const { name, startTime, responseEnd } = timing;
    super(token, { name, entryType, startTime, duration: responseEnd - startTime });
    this.#timing = timing;
  }
  toJSON() {
    const json = super.toJSON();
    for (const name of RESOURCE) json[name] = this.#timing[name];
    return json;
  }
  static { timingOf = (entry) => entry.#timing; }
}
attributes(PerformanceResourceTiming, RESOURCE, (entry, name) => timingOf(entry)[name]);
idl(PerformanceResourceTiming);
defineProperty(PerformanceResourceTiming, "length", { value: 0, configurable: true });

let documentTime;

export class PerformanceNavigationTiming extends PerformanceResourceTiming {
  #brand = true;
  constructor(token, timing) {
    illegal(token);
    super(token, timing, "navigation");
  }
  // Until the load event is over, 0.
  get duration() { return documentTime(this, "loadEventEnd"); }
  toJSON() {
    const json = { ...super.toJSON(), duration: this.duration };
    for (const name of [...DOCUMENT, ...NAVIGATION]) json[name] = this[name];
    return json;
  }
  static {
    documentTime = (entry, name) => (entry.#brand, load("dom/window_document.js").windowDocument().times?.[name] ?? 0);
  }
}
attributes(PerformanceNavigationTiming, DOCUMENT, (entry, name) => documentTime(entry, name));
attributes(PerformanceNavigationTiming, NAVIGATION, (entry, name) => timingOf(entry)[name]);
idl(PerformanceNavigationTiming);
defineProperty(PerformanceNavigationTiming, "length", { value: 0, configurable: true });

function attributes(Class, names, value) {
  for (const name of names) {
    const { get } = getOwnPropertyDescriptor({ get [name]() { return value(this, name); } }, name);
    defineProperty(Class.prototype, name, { get, set: undefined, enumerable: true, configurable: true });
  }
}

export const newResourceTiming = (timing) => new PerformanceResourceTiming(HOST, timing);
export const newNavigationTiming = (timing) => new PerformanceNavigationTiming(HOST, timing);

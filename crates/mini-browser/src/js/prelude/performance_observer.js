// PerformanceObserver. (Performance Timeline.)

import { queueTask } from "./event_loop.js";
import { reportError } from "./events.js";
import { bufferedEntries, onEntries, sortedEntries } from "./performance.js";
import { DOMString, HOST, callback, dictionary, errorOf, idl, illegal, required, sequence } from "./webidl.js";

const SUPPORTED = Object.freeze(["mark", "measure", "navigation", "resource"]);

export class PerformanceObserverEntryList {
  #entries;
  constructor(token, entries) {
    illegal(token);
    this.#entries = entries;
  }
  getEntries() { return sortedEntries([...this.#entries]); }
  getEntriesByType(type) {
    required(arguments.length, 1, "getEntriesByType");
    type = DOMString(type);
    return sortedEntries(this.#entries.filter((entry) => entry.entryType === type));
  }
  getEntriesByName(name, type = undefined) {
    required(arguments.length, 1, "getEntriesByName");
    name = DOMString(name);
    const wanted = type === undefined ? undefined : DOMString(type);
    return sortedEntries(this.#entries.filter((entry) => entry.name === name && (wanted === undefined || entry.entryType === wanted)));
  }
}
idl(PerformanceObserverEntryList);
Object.defineProperty(PerformanceObserverEntryList, "length", { value: 0, configurable: true });

// The registered performance observers: from an observer to the entry types that it wants.
const registered = new Map();
let isTaskQueued = false;

let bufferOf;
let deliver;

export class PerformanceObserver {
  #callback;
  #buffer = [];
  // "undefined", "multiple" or "single".
  #type = "undefined";
  #requiresDropped = true;

  constructor(observer) {
    required(arguments.length, 1, "PerformanceObserver");
    this.#callback = callback(observer, "The callback of a PerformanceObserver");
  }

  observe(options = {}) {
    const given = dictionary(options, "The options of observe");
    const buffered = Boolean(given.buffered);
    const types = given.entryTypes === undefined ? undefined : sequence(given.entryTypes, DOMString, "entryTypes");
    const type = given.type === undefined ? undefined : DOMString(given.type);
    // Steps 3 and 4.
    if (types === undefined && type === undefined) throw new TypeError("observe: neither entryTypes nor type is given");
    if (types !== undefined && (type !== undefined || given.buffered !== undefined)) throw new TypeError("observe: entryTypes stands alone");
    // Steps 5 to 7.
    const kind = types === undefined ? "single" : "multiple";
    if (this.#type === "undefined") this.#type = kind;
    if (this.#type !== kind) throw errorOf("InvalidModificationError", "observe: an observer takes entryTypes or type, not both");
    this.#requiresDropped = true;
    if (kind === "multiple") {
      // Step 8.
      const wanted = types.filter((name) => SUPPORTED.includes(name));
      if (wanted.length === 0) return;
      registered.set(this, new Set(wanted));
      onEntries(queueEntry);
      return;
    }
    // Step 9.
    if (!SUPPORTED.includes(type)) return;
    const wanted = registered.get(this) ?? new Set();
    registered.set(this, wanted.add(type));
    onEntries(queueEntry);
    if (buffered) {
      this.#buffer.push(...bufferedEntries(type));
      queueObserverTask();
    }
  }

  disconnect() {
    registered.delete(this);
    this.#buffer = [];
  }
  takeRecords() { return this.#buffer.splice(0); }
  static get supportedEntryTypes() { return SUPPORTED; }

  static {
    bufferOf = (observer) => observer.#buffer;
    deliver = (observer) => {
      const entries = observer.#buffer.splice(0);
      if (entries.length === 0) return;
      const options = observer.#requiresDropped ? { droppedEntriesCount: 0 } : {};
      observer.#requiresDropped = false;
      try {
        Reflect.apply(observer.#callback, observer, [new PerformanceObserverEntryList(HOST, entries), observer, options]);
      } catch (error) {
        reportError(error);
      }
    };
  }
}
idl(PerformanceObserver);

// Queue a PerformanceEntry.
function queueEntry(entry) {
  let isWanted = false;
  for (const [observer, types] of registered) {
    if (!types.has(entry.entryType)) continue;
    bufferOf(observer).push(entry);
    isWanted = true;
  }
  if (isWanted) queueObserverTask();
}

// Queue the PerformanceObserver task.
function queueObserverTask() {
  if (isTaskQueued) return;
  isTaskQueued = true;
  queueTask("performance timeline", () => {
    isTaskQueued = false;
    for (const observer of [...registered.keys()]) deliver(observer);
  });
}

// Performance, with marks and measures. (High Resolution Time; Performance Timeline; User Timing.)

import { op_next_resource_timing, op_navigation_timing, op_now, op_resource_timings, op_time_origin } from "ops";
import { queueTask } from "./event_loop.js";
import { EventTarget, defineEventHandler, fireEvent } from "./events.js";
import { structuredClone } from "./structured_clone.js";
import { DOMString, HOST, dictionary, double, errorOf, idl, illegal, load, required } from "./webidl.js";

// Marks and measures, by the order in which they were made.
let entries = [];

// The performance entry buffer of resources, its limit, and what did not fit.
let resources = [];
let bufferSizeLimit = 250;
let isFullPending = false;
let secondary = [];

// Called with each new entry, once there are observers.
let queued = () => {};
export function onEntries(then) {
  queued = then;
  pump();
}

// The document's own entry: as many as there are, which is one or none.
let navigation = null;
function navigations() {
  if (navigation === null) {
    const timing = op_navigation_timing();
    navigation = timing === null ? [] : [load("resource_timing.js").newNavigationTiming(timing)];
  }
  return navigation;
}

// Takes the entries that the host has.
function collect() {
  for (const timing of op_resource_timings()) addResource(load("resource_timing.js").newResourceTiming(timing));
}

// From now on takes each entry as it comes.
let isPumping = false;
async function pump() {
  if (isPumping) return;
  isPumping = true;
  collect();
  for (;;) {
    const timing = await op_next_resource_timing();
    if (timing === null) return;
    addResource(load("resource_timing.js").newResourceTiming(timing));
  }
}

// Add a PerformanceResourceTiming entry to the performance entry buffer.
function addResource(entry) {
  queued(entry);
  // Step 1.
  if (resources.length < bufferSizeLimit && !isFullPending) {
    resources.push(entry);
    return;
  }
  // Step 2.
  if (!isFullPending) {
    isFullPending = true;
    queueTask("performance timeline", fireBufferFull);
  }
  // Steps 3 and 4.
  secondary.push(entry);
}

// Fire a buffer full event.
function fireBufferFull() {
  while (secondary.length > 0) {
    const before = secondary.length;
    if (resources.length >= bufferSizeLimit) fireEvent(performance, "resourcetimingbufferfull", true);
    // Copy secondary buffer.
    while (secondary.length > 0 && resources.length < bufferSizeLimit) resources.push(secondary.shift());
    if (secondary.length >= before) secondary = [];
  }
  isFullPending = false;
}

export class PerformanceEntry {
  #entry;
  constructor(token, entry) {
    illegal(token);
    this.#entry = entry;
  }
  get name() { return this.#entry.name; }
  get entryType() { return this.#entry.entryType; }
  get startTime() { return this.#entry.startTime; }
  get duration() { return this.#entry.duration; }
  toJSON() {
    const { name, entryType, startTime, duration } = this.#entry;
    return { name, entryType, startTime, duration, ...("detail" in this ? { detail: this.detail } : {}) };
  }
}
idl(PerformanceEntry);
Object.defineProperty(PerformanceEntry, "length", { value: 0, configurable: true });

export class PerformanceMark extends PerformanceEntry {
  #detail;
  constructor(markName, markOptions = {}) {
    required(arguments.length, 1, "PerformanceMark");
    const name = DOMString(markName);
    const { detail, startTime: given } = dictionary(markOptions, "The options of the mark");
    const startTime = given === undefined ? op_now() : double(given, "startTime");
    if (startTime < 0) throw new TypeError("PerformanceMark: startTime is negative");
    super(HOST, { name, entryType: "mark", startTime, duration: 0 });
    this.#detail = cloned(detail);
  }
  get detail() { return this.#detail; }
}
idl(PerformanceMark);

export class PerformanceMeasure extends PerformanceEntry {
  #detail;
  constructor(token, entry, detail) {
    illegal(token);
    super(token, entry);
    this.#detail = detail;
  }
  get detail() { return this.#detail; }
}
idl(PerformanceMeasure);
Object.defineProperty(PerformanceMeasure, "length", { value: 0, configurable: true });

const cloned = (detail) => (detail === undefined || detail === null ? null : structuredClone(detail));

export class Performance extends EventTarget {
  #brand = true;
  constructor(token) {
    illegal(token);
    super();
  }
  get timeOrigin() { return (this.#brand, op_time_origin()); }
  now() { return (this.#brand, op_now()); }
  toJSON() { return (this.#brand, { timeOrigin: op_time_origin() }); }

  clearResourceTimings() {
    this.#brand;
    collect();
    resources = [];
  }
  setResourceTimingBufferSize(maxSize) {
    this.#brand;
    required(arguments.length, 1, "setResourceTimingBufferSize");
    bufferSizeLimit = maxSize >>> 0;
    // Somebody cares whether it is full.
    pump();
  }

  mark(markName, markOptions = {}) {
    this.#brand;
    required(arguments.length, 1, "mark");
    const entry = new PerformanceMark(markName, markOptions);
    entries.push(entry);
    queued(entry);
    return entry;
  }
  measure(measureName, startOrMeasureOptions = {}, endMark = undefined) {
    this.#brand;
    required(arguments.length, 1, "measure");
    const entry = measure(DOMString(measureName), startOrMeasureOptions, endMark);
    entries.push(entry);
    queued(entry);
    return entry;
  }
  clearMarks(markName = undefined) { clear(this.#brand && "mark", markName); }
  clearMeasures(measureName = undefined) { clear(this.#brand && "measure", measureName); }
  getEntries() { return (this.#brand, sorted(() => true)); }
  getEntriesByType(type) {
    this.#brand;
    required(arguments.length, 1, "getEntriesByType");
    type = DOMString(type);
    return sorted((entry) => entry.entryType === type);
  }
  getEntriesByName(name, type = undefined) {
    this.#brand;
    required(arguments.length, 1, "getEntriesByName");
    name = DOMString(name);
    const wanted = type === undefined ? undefined : DOMString(type);
    return sorted((entry) => entry.name === name && (wanted === undefined || entry.entryType === wanted));
  }
}
defineEventHandler(Performance, "resourcetimingbufferfull");
idl(Performance);
Object.defineProperty(Performance, "length", { value: 0, configurable: true });

function sorted(wanted) {
  collect();
  return sortedEntries([...navigations(), ...entries, ...resources].filter(wanted));
}

// In the chronological order of their start.
export const sortedEntries = (list) => list.sort((a, b) => a.startTime - b.startTime);

// What an observer with `buffered` is given.
export const bufferedEntries = (type) => sorted((entry) => entry.entryType === type);

function clear(type, name) {
  if (name !== undefined) name = DOMString(name);
  entries = entries.filter((entry) => entry.entryType !== type || (name !== undefined && entry.name !== name));
}

// measure(), from step 1 on.
function measure(name, given, endMark) {
  const isObject = typeof given === "object" && given !== null;
  const options = isObject ? given : {};
  const { detail, duration: rawDuration, end, start } = options;
  const hasOptions = isObject && [detail, rawDuration, end, start].some((member) => member !== undefined);
  // Steps 1 and 2.
  if (hasOptions) {
    if (endMark !== undefined) throw new TypeError("measure: with options, there is no end mark");
    if (start === undefined && end === undefined) throw new TypeError("measure: the options have neither a start nor an end");
    if (start !== undefined && rawDuration !== undefined && end !== undefined) throw new TypeError("measure: a start, an end and a duration are too much");
  }
  const duration = rawDuration === undefined ? undefined : double(rawDuration, "duration");
  if (duration < 0) throw new TypeError("measure: the duration is negative");
  // Step 3: the end time.
  const endTime = endMark !== undefined ? timestampOf(DOMString(endMark))
    : end !== undefined ? timestampOf(end)
    : start !== undefined && duration !== undefined ? timestampOf(start) + duration
    : op_now();
  // Step 4: the start time.
  const startTime = start !== undefined ? timestampOf(start)
    : duration !== undefined && end !== undefined ? timestampOf(end) - duration
    : !isObject && given !== undefined && given !== null ? timestampOf(DOMString(given))
    : 0;
  return new PerformanceMeasure(HOST, { name, entryType: "measure", startTime, duration: endTime - startTime }, cloned(detail));
}

// *Convert a mark to a timestamp*.
function timestampOf(mark) {
  if (typeof mark === "number") {
    const time = double(mark, "The time");
    if (time < 0) throw new TypeError("measure: a time is negative");
    return time;
  }
  const name = DOMString(mark);
  const entry = entries.findLast((entry) => entry.entryType === "mark" && entry.name === name);
  if (entry === undefined) throw errorOf("SyntaxError", `measure: there is no mark '${name}'`);
  return entry.startTime;
}

export const performance = new Performance(HOST);

// Timers. (HTML, "Timers".)

import { op_report, op_set_hook, op_timer_clear, op_timer_start } from "ops";
import { evaluate } from "./code_generation.js";
import { windowProxy } from "./realms.js";
import { DOMString, required } from "./webidl.js";

// Ids to { callback, args, delay, repeat, nesting }.
const timers = new Map();
let last = 0;
// The nesting level of the timer that runs.
let nesting = 0;

function start(callback, delay, args, repeat) {
  // The type of a handler is (DOMString or Function).
  if (typeof callback !== "function") {
    const source = DOMString(callback);
    callback = () => evaluate(source);
    args = [];
  }
  // Converted by Web IDL as a long.
  delay = Math.max(0, Number(delay) | 0);
  const id = ++last;
  timers.set(id, { callback, args, delay, repeat, nesting: nesting + 1 });
  arm(id);
  return id;
}

function arm(id) {
  const { delay, nesting } = timers.get(id);
  // Timer initialization, step 5: if nesting level is greater than 5 …
  op_timer_start(id, nesting > 5 ? Math.max(delay, 4) : delay);
}

op_set_hook("timer", (id) => {
  const timer = timers.get(id);
  if (timer === undefined) return;
  if (!timer.repeat) timers.delete(id);
  nesting = timer.nesting;
  try {
    timer.callback.apply(windowProxy, timer.args);
  } catch (error) {
    op_report(error);
  }
  nesting = 0;
  if (timers.has(id)) {
    timer.nesting++;
    arm(id);
  }
});

export function setTimeout(handler, timeout = 0, ...args) {
  required(arguments.length, 1, "setTimeout");
  return start(handler, timeout, args, false);
}

export function setInterval(handler, timeout = 0, ...args) {
  required(arguments.length, 1, "setInterval");
  return start(handler, timeout, args, true);
}

export function clearTimeout(id = 0) {
  id = Number(id) | 0;
  if (timers.delete(id)) op_timer_clear(id);
}

export function clearInterval(id = 0) { clearTimeout(id); }

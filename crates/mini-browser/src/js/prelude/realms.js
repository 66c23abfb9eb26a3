// Which realm this is: its raw global object, and the WindowProxy that stands for it.

import { op_global, op_own_proxy, op_unproxied } from "ops";

// The global object itself. `globalThis`, `window` and `self` of a window are its WindowProxy.
export const global = op_global();

// The WindowProxy of this window; in a worker, the global object.
export const windowProxy = op_own_proxy() ?? global;

// The raw global object behind a WindowProxy of any window; anything else as it is.
export function unproxied(value) {
  if (value === windowProxy) return global;
  return (typeof value === "object" && value !== null && windowProxy !== global && op_unproxied(value)) || value;
}

// What scripts see of an event target: this window's WindowProxy for its raw global.
export function proxied(value) { return value === global ? windowProxy : value; }

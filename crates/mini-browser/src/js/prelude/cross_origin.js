// What windows and locations of another origin show. (HTML, "Shared abstract operations" of "Security
// infrastructure for Window, WindowProxy, and Location objects".) It runs in the realm that asks.

import { op_child, op_child_count, op_child_named, op_focus, op_is_closed, op_related } from "ops";
import { navigateLocation } from "./location.js";
import { closeWindow } from "./open.js";
import { postToWindow } from "./post_message.js";
import { USVString, errorOf, required } from "./webidl.js";

const { defineProperty, getOwnPropertyDescriptor } = Object;
const refused = (what) => errorOf("SecurityError", `Blocked a frame from ${what} a window or location of another origin`);

// CrossOriginProperties ( O ) of a Window: names to accessors or methods, given the navigable's number.
const WINDOW = {
  window: { get: (id) => op_related(id, "window") },
  self: { get: (id) => op_related(id, "window") },
  location: { get: (id) => locationOf(id), set: (id, url) => navigateLocation(id, url, false) },
  close: { value: (id) => function close() { closeWindow(id); } },
  closed: { get: (id) => op_is_closed(id) },
  focus: { value: (id) => function focus() { op_focus(id); } },
  blur: { value: () => function blur() {} },
  frames: { get: (id) => op_related(id, "window") },
  length: { get: (id) => op_child_count(id) },
  top: { get: (id) => op_related(id, "top") },
  opener: { get: (id) => op_related(id, "opener") },
  parent: { get: (id) => op_related(id, "parent") },
  postMessage: { value: (id) => function postMessage(message) { postToWindow(id, null, arguments); } },
};
defineProperty(WINDOW.postMessage, "length", { value: 1 });

// CrossOriginProperties ( O ) of a Location.
const LOCATION = {
  href: { set: (id, url) => navigateLocation(id, url, false) },
  replace: { value: (id) => function replace(url) { required(arguments.length, 1, "replace"); navigateLocation(id, url, true); } },
};

// CrossOriginPropertyFallback ( P )
const FALLBACKS = ["then", Symbol.toStringTag, Symbol.hasInstance, Symbol.isConcatSpreadable];

// [[CrossOriginPropertyDescriptorMap]]: by object, by name.
const known = { window: new Map(), location: new Map() };

// CrossOriginGetOwnPropertyHelper ( O, P )
function helper(kind, id, key) {
  const properties = kind === "window" ? WINDOW : LOCATION;
  if (typeof key !== "string" || !Object.hasOwn(properties, key)) return undefined;
  let descriptors = known[kind].get(id);
  if (descriptors === undefined) known[kind].set(id, descriptors = new Map());
  let descriptor = descriptors.get(key);
  if (descriptor === undefined) {
    const { get, set, value } = properties[key];
    descriptor = { enumerable: false, configurable: true };
    if (value !== undefined) {
      descriptor.value = value(id);
      descriptor.writable = false;
    } else {
      descriptor.get = get && getOwnPropertyDescriptor({ get [key]() { return get(id); } }, key).get;
      descriptor.set = set && getOwnPropertyDescriptor({ set [key](url) { set(id, USVString(url)); } }, key).set;
    }
    descriptors.set(key, descriptor);
  }
  return { ...descriptor };
}

function fallback(key) {
  if (FALLBACKS.includes(key)) return { value: undefined, writable: false, enumerable: false, configurable: true };
  throw refused("accessing");
}

const isIndex = (key) => typeof key === "string" && /^(0|[1-9][0-9]*)$/.test(key) && Number(key) < 2 ** 32 - 1;

function getOwnProperty(kind, id, key) {
  if (kind === "window" && isIndex(key)) {
    const value = op_child(id, Number(key));
    if (value === null || value === undefined) throw refused("accessing");
    return { value, writable: false, enumerable: true, configurable: true };
  }
  const property = helper(kind, id, key);
  if (property !== undefined) return property;
  if (kind === "window" && typeof key === "string") {
    const value = op_child_named(id, key);
    if (value) return { value, writable: false, enumerable: false, configurable: true };
  }
  return fallback(key);
}

// The internal methods, as traps of a Proxy have them.
const traps = {
  getOwnPropertyDescriptor: getOwnProperty,
  // CrossOriginGet
  get(kind, id, key) {
    const { value, get, set } = getOwnProperty(kind, id, key);
    if (get !== undefined) return get();
    if (set !== undefined) throw refused("reading");
    return value;
  },
  // CrossOriginSet
  set(kind, id, key, value) {
    const { set } = getOwnProperty(kind, id, key);
    if (set === undefined) throw refused("writing to");
    set(value);
    return true;
  },
  has(kind, id, key) { return getOwnProperty(kind, id, key) !== undefined; },
  deleteProperty() { throw refused("deleting from"); },
  defineProperty() { throw refused("defining a property of"); },
  // CrossOriginOwnPropertyKeys
  ownKeys(kind, id) {
    const indices = kind === "window" ? Array.from({ length: op_child_count(id) }, (_, index) => String(index)) : [];
    return [...indices, ...Object.keys(kind === "window" ? WINDOW : LOCATION), ...FALLBACKS];
  },
  getPrototypeOf() { return null; },
  setPrototypeOf(kind, id, prototype) { return prototype === null; },
  isExtensible() { return true; },
  preventExtensions() { return false; },
};

// A trap of the WindowProxy of navigable `id`.
export function windowTrap(name, [id, ...args]) { return traps[name]("window", id, ...args); }

const locations = new Map();

// The Location of another origin's window.
function locationOf(id) {
  let location = locations.get(id);
  if (location === undefined) {
    const handler = {};
    for (const name in traps) handler[name] = (target, ...args) => traps[name]("location", id, ...args);
    locations.set(id, location = new Proxy(Object.create(null), handler));
  }
  return location;
}

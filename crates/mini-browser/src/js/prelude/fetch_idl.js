// Web IDL conversions that only the interfaces of Fetch, Cache and AbortSignal need.

import { dictionary, enumeration, sequence } from "./webidl.js";

// An integer type with [EnforceRange].
export function enforceRange(value, least, greatest, what) {
  const number = Math.trunc(+value);
  if (!(number >= least && number <= greatest)) {
    throw new TypeError(`${what} is not between ${least} and ${greatest}`);
  }
  return number + 0;
}

// An enumeration's conversion.
export function choice(values, what) {
  return (value) => enumeration(value, values, what);
}

// A dictionary: `conversions` maps the name of each member to its conversion, in the order of
// Web IDL, in which the members are read. A member that is undefined is absent.
export function members(value, conversions, what) {
  const converted = {};
  if (value === undefined || value === null) {
    return converted;
  }
  const object = dictionary(value, what);
  for (const [name, convert] of Object.entries(conversions)) {
    const member = object[name];
    if (member !== undefined) {
      converted[name] = convert(member);
    }
  }
  return converted;
}

// (sequence<sequence<T>> or record<K, V>), as a list of pairs.
export function pairs(value, key, convert, what) {
  if (!isObject(value)) {
    throw new TypeError(`${what} is not an object`);
  }
  const method = value[Symbol.iterator];
  if (method !== undefined && method !== null) {
    if (typeof method !== "function") {
      throw new TypeError(`${what} is not iterable`);
    }
    const items = { [Symbol.iterator]: () => Reflect.apply(method, value, []) };
    const list = sequence(items, (pair) => sequence(pair, convert, `an entry of ${what}`), what);
    for (const pair of list) {
      if (pair.length !== 2) {
        throw new TypeError(`an entry of ${what} has ${pair.length} items instead of two`);
      }
    }
    return list;
  }
  // Web IDL, "record": a later key that converts to the same string replaces the earlier value.
  const record = new Map();
  for (const own of Reflect.ownKeys(value)) {
    const descriptor = Reflect.getOwnPropertyDescriptor(value, own);
    if (descriptor !== undefined && descriptor.enumerable) {
      const name = key(own);
      record.set(name, convert(value[own]));
    }
  }
  return [...record];
}

function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

// Web IDL: what makes a JavaScript class look like an interface.

import { op_has, op_load, op_set_hook } from "ops";
import { global, unproxied } from "./realms.js";

const { defineProperty, getOwnPropertyDescriptor, getOwnPropertyNames } = Object;

// Passed to the constructor of an interface that scripts cannot construct.
export const HOST = Symbol("host");

// Shapes a class as an interface object: its members are enumerable, its prototype has a
// toStringTag, its constants are on both. Returns it.
export function idl(Class, { name = Class.name, constants = {} } = {}) {
  const { prototype } = Class;
  defineProperty(Class, "name", { value: name, configurable: true });
  for (const target of [prototype, Class]) {
    for (const member of getOwnPropertyNames(target)) {
      const isFunctions = target === Class ? member === "prototype" || member === "name" || member === "length" : member === "constructor";
      if (isFunctions) continue;
      const descriptor = getOwnPropertyDescriptor(target, member);
      descriptor.enumerable = true;
      defineProperty(target, member, descriptor);
    }
    for (const constant in constants) {
      defineProperty(target, constant, { value: constants[constant], enumerable: true });
    }
  }
  defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
  interfacePrototypes.add(prototype);
  return Class;
}

const interfacePrototypes = new WeakSet();
const hasPrototype = WeakSet.prototype.has;

// Whether an object is an interface prototype object of this realm.
export function isInterfacePrototype(object) { return Reflect.apply(hasPrototype, interfacePrototypes, [object]); }

// For the constructor of an interface that scripts cannot construct: `illegal(token)`.
export function illegal(token) {
  if (token !== HOST) throw new TypeError("Illegal constructor");
}

// Installs interface objects and the like on the global: writable, configurable, not enumerable.
export function install(values) {
  for (const name in values) {
    defineProperty(global, name, { value: values[name], writable: true, configurable: true });
  }
}

// The members of a [Global] interface are on the global object itself. They take `undefined` for it, and
// nothing but it. Call it after `idl` and the event handlers.
export function globalMembers(Class) {
  const isGlobal = (value) => value === undefined || value === null || value === global;
  const refusal = (name) => new TypeError(`${name}: this is no ${Class.name}`);
  for (const name of getOwnPropertyNames(Class.prototype)) {
    if (name === "constructor") continue;
    const descriptor = getOwnPropertyDescriptor(Class.prototype, name);
    for (const part of ["get", "set", "value"]) {
      const member = descriptor[part];
      if (typeof member !== "function") continue;
      const returnsPromise = promiseOperations.has(member);
      const { checked } = {
        checked(...args) {
          if (isGlobal(this)) return Reflect.apply(member, global, args);
          if (returnsPromise) return Promise.reject(refusal(name));
          throw refusal(name);
        },
      };
      defineProperty(checked, "name", { value: part === "value" ? name : `${part} ${name}`, configurable: true });
      defineProperty(checked, "length", { value: member.length, configurable: true });
      descriptor[part] = checked;
    }
    defineProperty(global, name, descriptor);
    delete Class.prototype[name];
  }
}

// Operations that give a promise: for another `this` they reject.
const promiseOperations = new WeakSet();
export function givesPromise(operation) { promiseOperations.add(operation); }

// Installs interface objects whose module is loaded at their first use; none if the prelude has no such module.
export function lazy(file, names) {
  if (op_has(file)) names.forEach((name) => defineLazily(file, name, global, false));
}

// The same of operations. `holder` has them: the global, or the prototype whose interface declares them.
export function lazyOperations(file, names, holder) { names.forEach((name) => defineLazily(file, name, holder, true)); }

function defineLazily(file, name, holder, enumerable) {
  const define = (object, value) => {
    if (object === holder) unsettled.delete(name);
    defineProperty(object, name, { value, writable: true, enumerable, configurable: true });
  };
  const get = () => {
    const value = op_load(file)[name];
    define(holder, value);
    return value;
  };
  // A data property that is inherited is assigned to the object itself.
  const { set } = getOwnPropertyDescriptor({
    set [name](value) { define(this === holder || holder === global ? holder : global, value); },
  }, name);
  unsettled.set(name, { get, holder });
  defineProperty(holder, name, { get, set, enumerable, configurable: true });
}

// What is lazy and nobody has used yet: names to { get, holder }.
const unsettled = new Map();

// Whether properties of an object may be lazy.
export const hasLazy = (object) => object === global || isInterfacePrototype(object);

// A property is about to be described, and a lazy one is a data property to scripts.
export function settle(name, object = global) {
  const lazy = unsettled.get(name);
  if (lazy?.holder === object && getOwnPropertyDescriptor(object, name)?.get === lazy.get) lazy.get();
}
op_set_hook("settle", (name) => settle(name));

export function settleAll() { for (const [name, { holder }] of [...unsettled]) settle(name, holder); }

// The exports of a module of the prelude, which is loaded when it is first asked for.
export function load(file) {
  let exports = loaded.get(file);
  if (exports === undefined) loaded.set(file, exports = op_load(file));
  return exports;
}
const loaded = new Map();

// A [LegacyUnforgeable] attribute of the global.
export function defineUnforgeable(name, get, set = undefined) {
  defineProperty(global, name, {
    get: getOwnPropertyDescriptor({ get [name]() { return get(); } }, name).get, set, enumerable: true, configurable: false,
  });
}

// A read-only attribute of the global. `holder` has it: the global, or the prototype whose interface declares it.
export function attribute(holder, name, get, set = undefined) {
  const accessor = getOwnPropertyDescriptor({
    get [name]() {
      if (unproxied(this ?? global) !== global) throw new TypeError(`Illegal invocation: ${name} is an attribute of the global`);
      return get();
    },
  }, name);
  defineProperty(holder, name, { get: accessor.get, set, enumerable: true, configurable: true });
}

// One that scripts may replace by assigning to it.
export function replaceable(name, get, holder = global) {
  const { set } = getOwnPropertyDescriptor({
    set [name](other) { defineProperty(global, name, { value: other, writable: true, enumerable: true, configurable: true }); },
  }, name);
  attribute(holder, name, get, set);
}

// A TypeError or RangeError of the realm, or a DOMException of that name.
export function errorOf(name, message) {
  switch (name) {
    case "TypeError": return new TypeError(message);
    case "RangeError": return new RangeError(message);
    case "SyntaxErrorException": return new SyntaxError(message);
    default: {
      const { DOMException } = op_load("dom_exception.js");
      return new DOMException(message, name);
    }
  }
}

// What a native function threw, as an error of the realm.
export function fromOp(error) {
  return errorOf(String(error.name), String(error.message));
}

// Calls a native function; what it throws becomes an error of the realm.
export function call(op, ...args) {
  try {
    return op(...args);
  } catch (error) {
    throw fromOp(error);
  }
}

// Calls a native function that gives a promise; what it rejects with becomes an error of the realm.
export async function callAsync(op, ...args) {
  try {
    return await op(...args);
  } catch (error) {
    throw fromOp(error);
  }
}

// Conversions to IDL types.

export function required(given, needed, what) {
  if (given < needed) {
    throw new TypeError(`${what}: ${needed} argument${needed > 1 ? "s" : ""} required, but only ${given} present`);
  }
}

export function DOMString(value) {
  if (typeof value === "symbol") throw new TypeError("Cannot convert a Symbol value to a string");
  return `${value}`;
}

export function USVString(value) { return DOMString(value).toWellFormed(); }

export function ByteString(value) {
  const string = DOMString(value);
  for (let i = 0; i < string.length; i++) {
    if (string.charCodeAt(i) > 255) throw new TypeError("Cannot convert to a ByteString: a character is above U+00FF");
  }
  return string;
}

export function enumeration(value, allowed, what) {
  const string = DOMString(value);
  if (!allowed.includes(string)) throw new TypeError(`${what}: '${string}' is not one of ${allowed.map((word) => `'${word}'`).join(", ")}`);
  return string;
}

export function dictionary(value, what) {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") throw new TypeError(`${what} is not an object`);
  return value;
}

export function sequence(value, convert, what) {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) throw new TypeError(`${what} is not iterable`);
  // The method is looked up once.
  const method = value[Symbol.iterator];
  if (typeof method !== "function") throw new TypeError(`${what} is not iterable`);
  return sequenceOver(value, method, convert);
}

// *Create a sequence from an iterable*, with the method that was looked up.
export function sequenceOver(iterable, method, convert) {
  const items = [];
  for (const item of { [Symbol.iterator]: () => Reflect.apply(method, iterable, []) }) items.push(convert(item));
  return items;
}

export function callback(value, what) {
  if (typeof value !== "function") throw new TypeError(`${what} is not a function`);
  return value;
}

// The bytes of a BufferSource as a Uint8Array over the same memory, or null if it is none.
export function bytesOf(value) {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const tag = Object.prototype.toString.call(value);
  if (tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]") return new Uint8Array(value);
  return null;
}

// The bytes of a BufferSource that is neither [AllowShared] nor [AllowResizable] as a Uint8Array over the same
// memory, or null if the value is none. What is shared is none; a view of it throws.
export function bufferSource(value) {
  if (ArrayBuffer.isView(value)) {
    if (isSharedBuffer(value.buffer)) throw new TypeError("A view of shared memory is not accepted here");
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return isArrayBuffer(value) ? new Uint8Array(value) : null;
}

const byteLengthOf = getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get;
const sharedByteLengthOf = typeof SharedArrayBuffer === "function" ? getOwnPropertyDescriptor(SharedArrayBuffer.prototype, "byteLength").get : null;

// Whether a value is an ArrayBuffer of any realm.
export function isArrayBuffer(value) { return answers(byteLengthOf, value); }

// Whether a value is a SharedArrayBuffer of any realm.
export function isSharedBuffer(value) { return sharedByteLengthOf !== null && answers(sharedByteLengthOf, value); }

function answers(getter, value) {
  if (typeof value !== "object" || value === null) return false;
  try {
    Reflect.apply(getter, value, []);
    return true;
  } catch {
    return false;
  }
}

// long long with [Clamp].
export function clampLongLong(value) {
  const number = +value;
  if (Number.isNaN(number)) return 0;
  // Rounded to the nearest, half to even.
  const clamped = Math.min(Math.max(number, -(2 ** 53 - 1)), 2 ** 53 - 1);
  const floor = Math.floor(clamped);
  const rest = clamped - floor;
  return (rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1) + 0;
}

// long long, which wraps around at 2 to the 64th.
export function longLong(value) {
  const number = Math.trunc(+value);
  return Number.isFinite(number) ? Number(BigInt.asIntN(64, BigInt(number))) : 0;
}

// double.
export function double(value, what) {
  const number = +value;
  if (!Number.isFinite(number)) throw new TypeError(`${what} is not a finite number`);
  return number;
}

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

// iterable<K, V>: `pairsOf(object)` gives the value pairs to iterate over, as they are now, and throws
// for what is no such object. Call it before `idl`.
export function pairIterable(Class, pairsOf) {
  const positions = new WeakMap();
  const iteratorPrototype = Object.create(IteratorPrototype, {
    next: {
      configurable: true, enumerable: true, writable: true,
      value: { next() {
        const position = positions.get(this);
        if (position === undefined) throw new TypeError(`next was called on something that is no ${Class.name} Iterator`);
        const pairs = pairsOf(position.object);
        if (position.index >= pairs.length) return { value: undefined, done: true };
        const pair = pairs[position.index++];
        return { value: position.select(pair), done: false };
      } }.next,
    },
    [Symbol.toStringTag]: { configurable: true, value: `${Class.name} Iterator` },
  });
  const iterate = (object, select) => {
    pairsOf(object);
    const iterator = Object.create(iteratorPrototype);
    positions.set(iterator, { object, select, index: 0 });
    return iterator;
  };
  const members = {
    entries() { return iterate(this, ([key, value]) => [key, value]); },
    keys() { return iterate(this, ([key]) => key); },
    values() { return iterate(this, ([, value]) => value); },
    forEach(callback, thisArg = undefined) {
      pairsOf(this);
      required(arguments.length, 1, "forEach");
      if (typeof callback !== "function") throw new TypeError("forEach: the callback is not a function");
      for (let index = 0; index < pairsOf(this).length; index++) {
        const [key, value] = pairsOf(this)[index];
        Reflect.apply(callback, thisArg, [value, key, this]);
      }
    },
  };
  for (const name in members) defineProperty(Class.prototype, name, { value: members[name], writable: true, enumerable: true, configurable: true });
  defineProperty(Class.prototype, Symbol.iterator, { value: members.entries, writable: true, configurable: true });
}

// Interfaces with `iterable<K, V>`. (Web IDL, "Iterable declarations", "Default iterator objects".)

import { callback, required } from "./webidl.js";

const { create, defineProperty, getPrototypeOf } = Object;
const { apply } = Reflect;
const IteratorPrototype = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()));

const KINDS = { entries: (pair) => [pair[0], pair[1]], keys: (pair) => pair[0], values: (pair) => pair[1] };

// Declares it. `pairsOf(object)` gives the *value pairs to iterate over* as they are now, or throws for what
// is no such object. To be called before `idl(Class)`.
export function pairIterable(Class, name, pairsOf) {
  const positions = new WeakMap();
  const prototype = create(IteratorPrototype);
  const { next } = {
    next() {
      const position = typeof this === "object" && this !== null ? positions.get(this) : undefined;
      if (position === undefined) throw new TypeError(`next was called on something that is no ${name} Iterator`);
      const pairs = pairsOf(position.target);
      if (position.index >= pairs.length) return { value: undefined, done: true };
      position.index += 1;
      return { value: position.select(pairs[position.index - 1]), done: false };
    },
  };
  defineProperty(prototype, "next", { value: next, writable: true, enumerable: true, configurable: true });
  defineProperty(prototype, Symbol.toStringTag, { value: `${name} Iterator`, configurable: true });

  const begin = (target, select) => {
    pairsOf(target);
    const iterator = create(prototype);
    positions.set(iterator, { target, select, index: 0 });
    return iterator;
  };
  const methods = {
    entries() { return begin(this, KINDS.entries); },
    keys() { return begin(this, KINDS.keys); },
    values() { return begin(this, KINDS.values); },
    // The pairs are looked up again at each step.
    forEach(callbackFn, thisArg = undefined) {
      pairsOf(this);
      required(arguments.length, 1, "forEach");
      callback(callbackFn, "forEach: the callback");
      for (let index = 0; index < pairsOf(this).length; index++) {
        const [key, value] = pairsOf(this)[index];
        apply(callbackFn, thisArg, [value, key, this]);
      }
    },
  };
  for (const method in methods) {
    defineProperty(Class.prototype, method, { value: methods[method], writable: true, enumerable: true, configurable: true });
  }
  defineProperty(Class.prototype, Symbol.iterator, { value: methods.entries, writable: true, configurable: true });
}

// What the engine does not make of the global of a worker: a [[GetOwnProperty]] by which a lazy global is the data
// property that it is to scripts, and the [[SetPrototypeOf]] of immutable prototype exotic objects. The functions
// through which scripts would see the difference are replaced by ones of the same name, length and behaviour.
// (Web IDL, "[Global]"; ECMAScript, "Immutable Prototype Exotic Objects". Windows have a WindowProxy for this.)

import { EventTarget } from "./events.js";
import { global } from "./realms.js";
import { hasLazy, settle, settleAll } from "./webidl.js";

const { defineProperty, getOwnPropertyDescriptor, getOwnPropertyDescriptors, getPrototypeOf, setPrototypeOf } = Object;
const { apply, getOwnPropertyDescriptor: describe, setPrototypeOf: trySetPrototypeOf } = Reflect;

// `Class` is the global's interface.
export function makeExotic(Class) {
  // The global object, and the interface prototype objects on its prototype chain.
  const immutable = new Set([global]);
  for (let next = Class.prototype; next !== EventTarget.prototype; next = getPrototypeOf(next)) immutable.add(next);
  immutable.add(EventTarget.prototype);
  // SetImmutablePrototype: whether `value` must not become the prototype of `object`.
  const refuses = (object, value) => immutable.has(object)
    && (value === null || typeof value === "object" || typeof value === "function") && getPrototypeOf(object) !== value;
  const refusal = () => new TypeError("The prototype of this object is immutable");

  replace(Object, {
    getOwnPropertyDescriptor(O, P) {
      if (!hasLazy(O)) return getOwnPropertyDescriptor(O, P);
      const key = typeof P === "symbol" ? P : `${P}`;
      settle(key, O);
      return getOwnPropertyDescriptor(O, key);
    },
    getOwnPropertyDescriptors(O) {
      if (hasLazy(O)) settleAll();
      return getOwnPropertyDescriptors(O);
    },
    setPrototypeOf(O, proto) {
      if (refuses(O, proto)) throw refusal();
      return setPrototypeOf(O, proto);
    },
  });
  replace(Reflect, {
    getOwnPropertyDescriptor(target, propertyKey) {
      if (!hasLazy(target)) return describe(target, propertyKey);
      const key = typeof propertyKey === "symbol" ? propertyKey : `${propertyKey}`;
      settle(key, target);
      return describe(target, key);
    },
    setPrototypeOf(target, proto) { return !refuses(target, proto) && trySetPrototypeOf(target, proto); },
  });
  const accessor = getOwnPropertyDescriptor(Object.prototype, "__proto__");
  const { set } = getOwnPropertyDescriptor({
    set ["__proto__"](proto) {
      if (refuses(this, proto)) throw refusal();
      apply(accessor.set, this, [proto]);
    },
  }, "__proto__");
  defineProperty(Object.prototype, "__proto__", { ...accessor, set });
}

function replace(holder, functions) {
  for (const name in functions) defineProperty(holder, name, { value: functions[name] });
}

// DOMStringMap: the data-* attributes of an element. (HTML, "Embedding custom non-visible data".)

import { DOMString, HOST, errorOf, idl, illegal } from "../webidl.js";
import { isAttributeName, removeNamed, setValue } from "./attributes.js";
import { attribute } from "./nodes.js";

export class DOMStringMap {
  constructor(...args) { illegal(args[0]); }
}
idl(DOMStringMap);

const elements = new WeakMap();

const toAttribute = (name) => `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
const toName = (localName) => localName.slice(5).replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
const names = (element) => element.attributes.filter(({ namespace, localName }) => namespace === null && localName.startsWith("data-") && !/[A-Z]/.test(localName))
  .map(({ localName }) => toName(localName));
const valueOf = (target, name) => (typeof name === "string" && !/-[a-z]/.test(name) ? attribute(elements.get(target), toAttribute(name)) : null);

const handler = {
  get: (target, key, receiver) => valueOf(target, key) ?? Reflect.get(target, key, receiver),
  has: (target, key) => valueOf(target, key) !== null || key in target,
  getOwnPropertyDescriptor(target, key) {
    const value = valueOf(target, key);
    return value === null ? Reflect.getOwnPropertyDescriptor(target, key) : { value, writable: true, enumerable: true, configurable: true };
  },
  ownKeys: (target) => [...names(elements.get(target)), ...Reflect.ownKeys(target)],
  set(target, key, value, receiver) {
    if (typeof key !== "string") return Reflect.set(target, key, value, receiver);
    write(target, key, value);
    return true;
  },
  defineProperty(target, key, descriptor) {
    if (typeof key !== "string") return Reflect.defineProperty(target, key, descriptor);
    write(target, key, descriptor.value);
    return true;
  },
  deleteProperty(target, key) {
    if (typeof key !== "string") return Reflect.deleteProperty(target, key);
    if (valueOf(target, key) !== null) removeNamed(elements.get(target), toAttribute(key));
    return true;
  },
  preventExtensions() { return false; },
};

function write(target, name, value) {
  if (/-[a-z]/.test(name)) throw errorOf("SyntaxError", `'${name}' has a hyphen before a letter`);
  const localName = toAttribute(name);
  if (!isAttributeName(localName)) throw errorOf("InvalidCharacterError", `'${name}' is no attribute's name`);
  setValue(elements.get(target), localName, DOMString(value));
}

// The dataset of an element.
export function datasetOf(element) {
  const target = new DOMStringMap(HOST);
  elements.set(target, element);
  return new Proxy(target, handler);
}

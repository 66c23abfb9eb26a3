// DOMTokenList. (DOM, "Interface DOMTokenList".)

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { lowercase, setValue } from "./attributes.js";
import { attribute } from "./nodes.js";

// Lists to { element, name, supported }.
const sources = new WeakMap();

function sourceOf(list) {
  const source = sources.get(list);
  if (source === undefined) throw new TypeError("Illegal invocation");
  return source;
}

// Ordered set parser, of the attribute's value.
function tokensOf({ element, name }) {
  return [...new Set((attribute(element, name) ?? "").split(/[\t\n\f\r ]+/).filter((token) => token !== ""))];
}

// Update steps.
function update({ element, name }, tokens) {
  if (attribute(element, name) === null && tokens.length === 0) return;
  setValue(element, name, tokens.join(" "));
}

function checked(given) {
  const tokens = given.map(DOMString);
  if (tokens.includes("")) throw errorOf("SyntaxError", "A token is empty");
  if (tokens.some((token) => /[\t\n\f\r ]/.test(token))) throw errorOf("InvalidCharacterError", "A token has white space");
  return tokens;
}

export class DOMTokenList {
  constructor(...args) { illegal(args[0]); }
  get length() { return tokensOf(sourceOf(this)).length; }
  item(index) {
    required(arguments.length, 1, "item");
    return tokensOf(sourceOf(this))[index >>> 0] ?? null;
  }
  contains(token) {
    required(arguments.length, 1, "contains");
    return tokensOf(sourceOf(this)).includes(DOMString(token));
  }
  add(...tokens) {
    const source = sourceOf(this);
    update(source, [...new Set([...tokensOf(source), ...checked(tokens)])]);
  }
  remove(...tokens) {
    const source = sourceOf(this);
    const removed = checked(tokens);
    update(source, tokensOf(source).filter((token) => !removed.includes(token)));
  }
  toggle(token, force = undefined) {
    required(arguments.length, 1, "toggle");
    const source = sourceOf(this);
    const [wanted] = checked([token]);
    const tokens = tokensOf(source);
    if (tokens.includes(wanted)) {
      if (force) return true;
      update(source, tokens.filter((each) => each !== wanted));
      return false;
    }
    if (force !== undefined && !force) return false;
    update(source, [...tokens, wanted]);
    return true;
  }
  replace(token, newToken) {
    required(arguments.length, 2, "replace");
    const source = sourceOf(this);
    const [old, wanted] = checked([token, newToken]);
    const tokens = tokensOf(source);
    if (!tokens.includes(old)) return false;
    update(source, [...new Set(tokens.map((each) => (each === old ? wanted : each)))]);
    return true;
  }
  supports(token) {
    required(arguments.length, 1, "supports");
    const { supported } = sourceOf(this);
    if (supported === undefined) throw new TypeError("The attribute has no supported tokens");
    return supported.includes(lowercase(DOMString(token)));
  }
  get value() {
    const { element, name } = sourceOf(this);
    return attribute(element, name) ?? "";
  }
  set value(value) {
    const { element, name } = sourceOf(this);
    setValue(element, name, DOMString(value));
  }
  toString() { return this.value; }
  forEach(callback, thisArg = undefined) {
    if (typeof callback !== "function") throw new TypeError("forEach: the callback is not a function");
    tokensOf(sourceOf(this)).forEach((token, index) => callback.call(thisArg, token, index, this));
  }
}
for (const name of ["entries", "keys", "values"]) DOMTokenList.prototype[name] = Array.prototype[name];
Object.defineProperty(DOMTokenList.prototype, Symbol.iterator, { value: Array.prototype.values, writable: true, configurable: true });
idl(DOMTokenList);

const isIndex = (key) => typeof key === "string" && /^(0|[1-9][0-9]*)$/.test(key);

const handler = {
  get(target, key, receiver) { return isIndex(key) ? tokensOf(sources.get(target))[key] : Reflect.get(target, key, receiver); },
  has(target, key) { return isIndex(key) ? Number(key) < tokensOf(sources.get(target)).length : key in target; },
  getOwnPropertyDescriptor(target, key) {
    if (!isIndex(key)) return Reflect.getOwnPropertyDescriptor(target, key);
    const value = tokensOf(sources.get(target))[key];
    return value === undefined ? undefined : { value, writable: false, enumerable: true, configurable: true };
  },
  ownKeys(target) { return [...tokensOf(sources.get(target)).map((_, index) => String(index)), ...Reflect.ownKeys(target)]; },
  set(target, key, value, receiver) { return !isIndex(key) && Reflect.set(target, key, value, receiver); },
  defineProperty(target, key, descriptor) { return !isIndex(key) && Reflect.defineProperty(target, key, descriptor); },
  preventExtensions() { return false; },
};

// The DOMTokenList of an element's attribute; `supported` are its supported tokens, if it has any.
export function tokenList(element, name, supported = undefined) {
  const target = new DOMTokenList(HOST);
  const source = { element, name, supported };
  sources.set(target, source);
  const list = new Proxy(target, handler);
  sources.set(list, source);
  return list;
}

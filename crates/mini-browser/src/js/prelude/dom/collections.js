// NodeList and HTMLCollection. (DOM, "Old-style collections".) Their objects are proxies, for their
// indexed and named properties.

import { DOMString, HOST, idl, illegal, required } from "../webidl.js";
import { HTML, attribute, elementsBelow, qualifiedName, wrap } from "./nodes.js";
import { lowercase } from "./attributes.js";

// Proxies to { list(): records, names(): Map or null, isLive }.
const sources = new WeakMap();

function itemsOf(object) {
  const source = sources.get(object);
  if (source === undefined) throw new TypeError("Illegal invocation");
  return source.list();
}

const isIndex = (key) => typeof key === "string" && /^(0|[1-9][0-9]*)$/.test(key) && Number(key) < 2 ** 32 - 1;

// Legacy platform object internal methods, of objects whose properties scripts cannot set.
const handler = {
  get(target, key, receiver) {
    if (isIndex(key)) return wrap(sources.get(target).list()[key] ?? null) ?? undefined;
    if (typeof key === "string" && !(key in target)) return wrap(sources.get(target).names?.(key) ?? null) ?? undefined;
    return Reflect.get(target, key, receiver);
  },
  has(target, key) {
    if (isIndex(key)) return Number(key) < sources.get(target).list().length;
    return key in target || (typeof key === "string" && !!sources.get(target).names?.(key));
  },
  getOwnPropertyDescriptor(target, key) {
    const { list, names } = sources.get(target);
    if (isIndex(key)) {
      const value = wrap(list()[key] ?? null);
      return value === null ? undefined : { value, writable: false, enumerable: true, configurable: true };
    }
    const own = Reflect.getOwnPropertyDescriptor(target, key);
    if (own !== undefined || typeof key !== "string" || key in target) return own;
    const value = wrap(names?.(key) ?? null);
    return value === null ? undefined : { value, writable: false, enumerable: false, configurable: true };
  },
  ownKeys(target) {
    const { list, allNames } = sources.get(target);
    const keys = new Set(list().map((_, index) => String(index)));
    for (const name of allNames?.() ?? []) keys.add(name);
    for (const key of Reflect.ownKeys(target)) keys.add(key);
    return [...keys];
  },
  set(target, key, value) {
    if (isIndex(key)) return false;
    return Reflect.set(target, key, value, target);
  },
  defineProperty(target, key, descriptor) { return !isIndex(key) && Reflect.defineProperty(target, key, descriptor); },
  deleteProperty(target, key) {
    if (isIndex(key)) return Number(key) >= sources.get(target).list().length;
    return Reflect.deleteProperty(target, key);
  },
  preventExtensions() { return false; },
};

function proxy(object, source) {
  sources.set(object, source);
  const proxy = new Proxy(object, handler);
  sources.set(proxy, source);
  return proxy;
}

export class NodeList {
  constructor(...args) { illegal(args[0]); }
  item(index) {
    required(arguments.length, 1, "item");
    return wrap(itemsOf(this)[index >>> 0] ?? null);
  }
  get length() { return itemsOf(this).length; }
  forEach(callback, thisArg = undefined) {
    if (typeof callback !== "function") throw new TypeError("forEach: the callback is not a function");
    itemsOf(this).forEach((record, index) => callback.call(thisArg, wrap(record), index, this));
  }
}
for (const name of ["entries", "keys", "values"]) NodeList.prototype[name] = Array.prototype[name];
Object.defineProperty(NodeList.prototype, Symbol.iterator, { value: Array.prototype.values, writable: true, configurable: true });
idl(NodeList);

export class RadioNodeList extends NodeList {
  get value() { return wrap(itemsOf(this).find((record) => wrap(record).checked) ?? null)?.value ?? ""; }
  set value(value) {
    const found = itemsOf(this).map(wrap).find((element) => element.type === "radio" && element.value === String(value));
    if (found !== undefined) found.checked = true;
  }
}
idl(RadioNodeList);

export class HTMLCollection {
  constructor(...args) { illegal(args[0]); }
  get length() { return itemsOf(this).length; }
  item(index) {
    required(arguments.length, 1, "item");
    return wrap(itemsOf(this)[index >>> 0] ?? null);
  }
  namedItem(name) {
    required(arguments.length, 1, "namedItem");
    return wrap(named(itemsOf(this), DOMString(name)));
  }
}
Object.defineProperty(HTMLCollection.prototype, Symbol.iterator, { value: Array.prototype.values, writable: true, configurable: true });
idl(HTMLCollection);

// A static list.
export const staticList = (records) => proxy(new NodeList(HOST), { list: () => records });

// Remembers what `find` gives until the document of `node` changes.
function live(node, find) {
  let document = null;
  let version = -1;
  let list = [];
  return () => {
    if (node.document !== document || document.version !== version) {
      list = find();
      ({ document } = node);
      ({ version } = document);
    }
    return list;
  };
}

// A live list of what `find` gives, which depends on the tree of `node` only.
export const liveList = (node, find, Class = NodeList) => proxy(new Class(HOST), { list: live(node, find) });

export function liveCollection(node, find, Class = HTMLCollection) {
  const list = live(node, find);
  return proxy(new Class(HOST), { list, names: (name) => named(list(), name), allNames: () => namesOf(list()) });
}

function named(records, name) {
  if (name === "") return null;
  return records.find((record) => attribute(record, "id") === name || (record.namespace === HTML && attribute(record, "name") === name)) ?? null;
}

function namesOf(records) {
  const names = new Set();
  for (const record of records) {
    const candidates = [attribute(record, "id"), record.namespace === HTML ? attribute(record, "name") : null];
    for (const name of candidates) if (name) names.add(name);
  }
  return names;
}

// The list of elements with a qualified name.
export function byTagName(node, name) {
  if (name === "*") return liveCollection(node, () => elementsBelow(node, () => true));
  const lower = lowercase(name);
  return liveCollection(node, () => elementsBelow(node, (element) =>
    qualifiedName(element) === (node.document.isHtml && element.namespace === HTML ? lower : name)));
}

// The list of elements with a namespace and local name.
export function byTagNameNS(node, namespace, localName) {
  if (namespace === "") namespace = null;
  return liveCollection(node, () => elementsBelow(node, (element) =>
    (namespace === "*" || element.namespace === namespace) && (localName === "*" || element.localName === localName)));
}

// The list of elements with class names.
export function byClassName(node, names) {
  const classes = names.split(/[\t\n\f\r ]+/).filter((name) => name !== "");
  const isQuirky = node.document.mode === "quirks";
  const same = isQuirky ? lowercase : (name) => name;
  return liveCollection(node, () => (classes.length === 0 ? [] : elementsBelow(node, (element) => {
    const own = attribute(element, "class")?.split(/[\t\n\f\r ]+/).map(same);
    return own !== undefined && classes.every((name) => own.includes(same(name)));
  })));
}

// Attr and NamedNodeMap. (DOM.)

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { byName, byNamespace, change, lowercase, removeAttribute, setAttribute } from "./attributes.js";
import { ATTRIBUTE, HTML, qualifiedName, wrap } from "./nodes.js";
import { Node, nodeArgument, recordOf } from "./node.js";

export class Attr extends Node {
  get namespaceURI() { return recordOf(this).namespace; }
  get prefix() { return recordOf(this).prefix; }
  get localName() { return recordOf(this).localName; }
  get name() { return qualifiedName(recordOf(this)); }
  get value() { return recordOf(this).value; }
  set value(value) { change(recordOf(this), DOMString(value)); }
  get ownerElement() { return wrap(recordOf(this).element); }
  get specified() { recordOf(this); return true; }
}
idl(Attr);

// An argument that has to be an attribute.
export function attributeArgument(value, what) {
  const record = nodeArgument(value, what);
  if (record.type !== ATTRIBUTE) throw new TypeError(`${what}: the argument is not an Attr`);
  return record;
}

const elements = new WeakMap();

function elementOf(map) {
  const element = elements.get(map);
  if (element === undefined) throw new TypeError("Illegal invocation");
  return element;
}

export class NamedNodeMap {
  constructor(...args) { illegal(args[0]); }
  get length() { return elementOf(this).attributes.length; }
  item(index) {
    required(arguments.length, 1, "item");
    return wrap(elementOf(this).attributes[index >>> 0] ?? null);
  }
  getNamedItem(name) {
    required(arguments.length, 1, "getNamedItem");
    return wrap(byName(elementOf(this), DOMString(name)));
  }
  getNamedItemNS(namespace, localName) {
    required(arguments.length, 2, "getNamedItemNS");
    return wrap(byNamespace(elementOf(this), namespace === null ? null : DOMString(namespace), DOMString(localName)));
  }
  setNamedItem(attr) {
    required(arguments.length, 1, "setNamedItem");
    return wrap(setAttribute(attributeArgument(attr, "setNamedItem"), elementOf(this)));
  }
  setNamedItemNS(attr) {
    required(arguments.length, 1, "setNamedItemNS");
    return wrap(setAttribute(attributeArgument(attr, "setNamedItemNS"), elementOf(this)));
  }
  removeNamedItem(name) {
    required(arguments.length, 1, "removeNamedItem");
    return removed(byName(elementOf(this), DOMString(name)));
  }
  removeNamedItemNS(namespace, localName) {
    required(arguments.length, 2, "removeNamedItemNS");
    return removed(byNamespace(elementOf(this), namespace === null ? null : DOMString(namespace), DOMString(localName)));
  }
}
Object.defineProperty(NamedNodeMap.prototype, Symbol.iterator, { value: Array.prototype.values, writable: true, configurable: true });
idl(NamedNodeMap);

function removed(attribute) {
  if (attribute === null) throw errorOf("NotFoundError", "There is no such attribute");
  return wrap(removeAttribute(attribute));
}

const isIndex = (key) => typeof key === "string" && /^(0|[1-9][0-9]*)$/.test(key);

// A supported property name: an HTML element's have no upper case.
function named(element, key) {
  if (typeof key !== "string" || (element.namespace === HTML && element.document.isHtml && key !== lowercase(key))) return null;
  return element.attributes.find((attribute) => qualifiedName(attribute) === key) ?? null;
}

function find(target, key) {
  const element = elements.get(target);
  if (isIndex(key)) return element.attributes[key] ?? null;
  return key in target ? null : named(element, key);
}

const handler = {
  get(target, key, receiver) {
    const found = find(target, key);
    return found === null ? Reflect.get(target, key, receiver) : wrap(found);
  },
  has(target, key) { return find(target, key) !== null || key in target; },
  getOwnPropertyDescriptor(target, key) {
    const found = find(target, key);
    if (found === null) return Reflect.getOwnPropertyDescriptor(target, key);
    return { value: wrap(found), writable: false, enumerable: isIndex(key), configurable: true };
  },
  ownKeys(target) {
    const { attributes } = elements.get(target);
    const names = attributes.map(qualifiedName).filter((name) => find(target, name) !== null);
    return [...new Set([...attributes.map((_, index) => String(index)), ...names, ...Reflect.ownKeys(target)])];
  },
  set(target, key, value) { return find(target, key) === null && !isIndex(key) && Reflect.set(target, key, value, target); },
  defineProperty(target, key, descriptor) { return find(target, key) === null && !isIndex(key) && Reflect.defineProperty(target, key, descriptor); },
  deleteProperty(target, key) { return find(target, key) === null && Reflect.deleteProperty(target, key); },
  preventExtensions() { return false; },
};

// The NamedNodeMap of an element.
export function attributesOf(element) {
  const target = new NamedNodeMap(HOST);
  elements.set(target, element);
  const map = new Proxy(target, handler);
  elements.set(map, element);
  return map;
}

// CSSStyleDeclaration of a style attribute: its declarations as they are written. (CSSOM.) Nothing is
// computed or painted, so that any property and value is taken.

import { DOMString, HOST, idl, illegal, required } from "../webidl.js";
import { lowercase, setValue } from "./attributes.js";
import { attribute } from "./nodes.js";

const elements = new WeakMap();

// Names to { value, isImportant }, of the style attribute now.
function declarations(style) {
  const element = elements.get(style);
  if (element === undefined) throw new TypeError("Illegal invocation");
  const found = new Map();
  if (element === null) return found;
  for (const [, name, value] of (attribute(element, "style") ?? "").matchAll(/([-\w]+)\s*:\s*((?:"[^"]*"|'[^']*'|\([^)]*\)|[^;"'(])*)/g)) {
    const isImportant = /!\s*important\s*$/i.test(value);
    const plain = value.replace(/!\s*important\s*$/i, "").trim();
    if (plain !== "") found.set(name.startsWith("--") ? name : lowercase(name), { value: plain, isImportant });
  }
  return found;
}

const text = (found) => [...found].map(([name, { value, isImportant }]) => `${name}: ${value}${isImportant ? " !important" : ""};`).join(" ");

function write(style, found) {
  const element = elements.get(style);
  if (element !== null) setValue(element, "style", text(found));
}

export class CSSStyleDeclaration {
  constructor(...args) { illegal(args[0]); }
  get cssText() { return text(declarations(this)); }
  set cssText(value) {
    declarations(this);
    const element = elements.get(this);
    if (element !== null) setValue(element, "style", DOMString(value));
  }
  get length() { return declarations(this).size; }
  item(index) {
    required(arguments.length, 1, "item");
    return [...declarations(this).keys()][index >>> 0] ?? "";
  }
  getPropertyValue(property) {
    required(arguments.length, 1, "getPropertyValue");
    return declarations(this).get(lowercase(DOMString(property)))?.value ?? "";
  }
  getPropertyPriority(property) {
    required(arguments.length, 1, "getPropertyPriority");
    return declarations(this).get(lowercase(DOMString(property)))?.isImportant ? "important" : "";
  }
  setProperty(property, value, priority = "") {
    required(arguments.length, 2, "setProperty");
    const name = lowercase(DOMString(property));
    const string = value === null ? "" : DOMString(value).trim();
    const found = declarations(this);
    if (string === "") found.delete(name);
    else if (!/[;{}]/.test(string)) found.set(name, { value: string, isImportant: lowercase(DOMString(priority)) === "important" });
    write(this, found);
  }
  removeProperty(property) {
    required(arguments.length, 1, "removeProperty");
    const old = this.getPropertyValue(property);
    const found = declarations(this);
    if (found.delete(lowercase(DOMString(property)))) write(this, found);
    return old;
  }
  get parentRule() { return null; }
}
idl(CSSStyleDeclaration);

const toProperty = (key) => (key === "cssFloat" ? "float" : key.replace(/^webkit(?=[A-Z])/, "Webkit").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
const isProperty = (target, key) => typeof key === "string" && !(key in target) && /^[a-z][-a-zA-Z]*$/.test(key);

const handler = {
  get(target, key, receiver) {
    if (typeof key === "string" && /^\d+$/.test(key)) return receiver.item(key) || undefined;
    return isProperty(target, key) ? receiver.getPropertyValue(toProperty(key)) : Reflect.get(target, key, receiver);
  },
  set(target, key, value, receiver) {
    if (!isProperty(target, key)) return Reflect.set(target, key, value, receiver);
    receiver.setProperty(toProperty(key), value);
    return true;
  },
  has: (target, key) => isProperty(target, key) || key in target,
};

// The declarations of an element's style attribute; of null, none.
export function declarationOf(element) {
  const target = new CSSStyleDeclaration(HOST);
  elements.set(target, element);
  const style = new Proxy(target, handler);
  elements.set(style, element);
  return style;
}

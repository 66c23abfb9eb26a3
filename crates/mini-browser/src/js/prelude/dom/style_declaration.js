// CSSStyleDeclaration of a style attribute: its declarations as they are written. (CSSOM.) Nothing is
// computed or painted, so that any property and value is taken.

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { lowercase, setValue } from "./attributes.js";
import { attribute } from "./nodes.js";

const elements = new WeakMap();

// Names to { value, isImportant }: of the style attribute now, or of what is computed.
function declarations(style) {
  const source = elements.get(style);
  if (source === undefined) throw new TypeError("Illegal invocation");
  if (typeof source === "function") return new Map([...source()].map(([name, value]) => [name, { value, isImportant: false }]));
  return parseDeclarations(attribute(source, "style") ?? "");
}

// Parse a block's contents, as far as it has declarations.
export function parseDeclarations(source) {
  const found = new Map();
  for (const [, name, value] of source.matchAll(/([-\w]+)\s*:\s*((?:"[^"]*"|'[^']*'|\([^)]*\)|[^;"'(])*)/g)) {
    const isImportant = /!\s*important\s*$/i.test(value);
    const plain = value.replace(/!\s*important\s*$/i, "").trim();
    if (plain !== "") found.set(name.startsWith("--") ? name : lowercase(name), { value: plain, isImportant });
  }
  return found;
}

const text = (found) => [...found].map(([name, { value, isImportant }]) => `${name}: ${value}${isImportant ? " !important" : ""};`).join(" ");

// The element whose style attribute it is. Computed declarations are read only.
function writable(style) {
  const source = elements.get(style);
  if (typeof source === "function") throw errorOf("NoModificationAllowedError", "Computed styles cannot be set");
  return source;
}

function write(style, found) {
  setValue(writable(style), "style", text(found));
}

export class CSSStyleDeclaration {
  constructor(...args) { illegal(args[0]); }
  get cssText() { return text(declarations(this)); }
  set cssText(value) {
    declarations(this);
    setValue(writable(this), "style", DOMString(value));
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

function declarationFrom(source) {
  const target = new CSSStyleDeclaration(HOST);
  elements.set(target, source);
  const style = new Proxy(target, handler);
  elements.set(style, source);
  return style;
}

// The declarations of an element's style attribute.
export const declarationOf = (element) => declarationFrom(element);

// Read-only declarations: what `compute` gives, a Map of names to values, each time.
export const computedDeclaration = (compute) => declarationFrom(compute);

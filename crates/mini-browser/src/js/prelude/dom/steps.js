// What happens to elements of a kind when they come into a document, leave it, or change. (HTML,
// "HTML element insertion steps", "… removing steps", "… post-connection steps".)

import { ELEMENT, HTML, isConnected, wrap } from "./nodes.js";

// Local names of HTML elements to any of
// { inserted(element), removed(element), attributeChanged(element, name, old, value), childrenChanged(element) },
// which are called with elements as scripts see them, when they are in a document, and after all changes
// of the tree that the script asked for at once.
export const elementSteps = new Map();

// The same, called with records: `connected(record)`, `disconnected(record)`, `changed(record, name, old, value)`,
// `children(record)`.
export const recordSteps = new Map();

// For every element: attributes whose local names have steps, or begin with "on".
export const attributeSteps = new Map();
let handlerChanged = () => {};
export function setHandlerChanged(changed) { handlerChanged = changed; }
let names = { added() {}, removed() {} };
export function setNames(index) { names = index; }

export function connected(element) {
  if (element.namespace !== HTML) return;
  recordSteps.get(element.localName)?.connected?.(element);
  elementSteps.get(element.localName)?.inserted?.(wrap(element));
}

export function disconnected(element) {
  if (element.namespace !== HTML) return;
  recordSteps.get(element.localName)?.disconnected?.(element);
  elementSteps.get(element.localName)?.removed?.(wrap(element));
}

export function childrenChanged(element) {
  if (element.type !== ELEMENT || element.namespace !== HTML) return;
  recordSteps.get(element.localName)?.children?.(element);
  elementSteps.get(element.localName)?.childrenChanged?.(wrap(element));
}

// Attribute change steps.
export function attributeChanged(element, { localName, namespace }, old, value) {
  if (namespace !== null) return;
  attributeSteps.get(localName)?.(element, old, value);
  if (localName.startsWith("on") && element.namespace === HTML) handlerChanged(element, localName, value);
  if (element.namespace !== HTML) return;
  recordSteps.get(element.localName)?.changed?.(element, localName, old, value);
  elementSteps.get(element.localName)?.attributeChanged?.(wrap(element), localName, old, value);
}

// The names by which a window knows elements of its document: their ids, and the names of some.
const NAMED = new Set(["embed", "form", "img", "object", "iframe", "frame"]);

// An element came into a document, or left it.
export function namesChanged(element, isThere) {
  for (const { localName, namespace, value } of element.attributes) {
    if (namespace !== null || value === "" || !(localName === "id" || (localName === "name" && NAMED.has(element.localName)))) continue;
    if (isThere) names.added(element, value);
    else names.removed(element, value);
  }
}

for (const name of ["id", "name"]) {
  attributeSteps.set(name, (element, old, value) => {
    if ((name === "name" && !NAMED.has(element.localName)) || !isConnected(element)) return;
    if (old !== null && old !== "") names.removed(element, old);
    if (value !== null && value !== "") names.added(element, value);
  });
}

// The parser has met the end tag of an element.
export function popped(element) {
  if (element.namespace === HTML) recordSteps.get(element.localName)?.popped?.(element);
}

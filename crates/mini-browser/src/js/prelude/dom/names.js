// Which elements of a document have which id or name.

import { ELEMENT, attribute, elementsBelow, inclusiveDescendants } from "./nodes.js";

const namesOf = (document) => (document.names ??= new Map());

export function addName(element, name) {
  const names = namesOf(element.document);
  const elements = names.get(name);
  if (elements === undefined) names.set(name, [element]);
  else if (!elements.includes(element)) elements.push(element);
}

// The element may still have the name by its other attribute.
export function removeName(element, name) {
  const names = namesOf(element.document);
  const elements = names.get(name);
  const at = elements?.indexOf(element) ?? -1;
  if (at < 0) return;
  if (elements.length === 1) names.delete(name);
  else elements.splice(at, 1);
}

// The elements in a document of that id or name, in tree order.
export function elementsNamed(document, name) {
  const elements = document.names?.get(name) ?? [];
  return elements.length < 2 ? elements : elementsBelow(document, (element) => elements.includes(element));
}

// The first element in a document of that id, or null.
export const elementById = (document, id) => elementsNamed(document, id).find((element) => attribute(element, "id") === id) ?? null;

// For a document whose tree was built out of sight.
export function connectAll(document) {
  for (const node of inclusiveDescendants(document)) {
    node.isConnected = true;
    if (node.type === ELEMENT) document.home.namesChanged(node, true);
  }
}

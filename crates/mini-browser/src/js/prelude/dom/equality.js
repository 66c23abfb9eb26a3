// Whether nodes equal each other. (DOM, "A node A equals a node B".)

import { ATTRIBUTE, DOCUMENT_TYPE, ELEMENT, PROCESSING_INSTRUCTION } from "./nodes.js";

export function isEqual(a, b) {
  if (a.type !== b.type) return false;
  switch (a.type) {
    case DOCUMENT_TYPE:
      if (a.name !== b.name || a.publicId !== b.publicId || a.systemId !== b.systemId) return false;
      break;
    case ELEMENT:
      if (!sameName(a, b) || a.prefix !== b.prefix || a.attributes.length !== b.attributes.length) return false;
      if (!a.attributes.every((one) => b.attributes.some((other) => sameName(one, other) && one.value === other.value))) return false;
      break;
    case ATTRIBUTE:
      if (!sameName(a, b) || a.value !== b.value) return false;
      break;
    case PROCESSING_INSTRUCTION:
      if (a.target !== b.target || a.data !== b.data) return false;
      break;
    default:
      if (a.data !== b.data) return false;
  }
  let other = b.first;
  for (let child = a.first; child !== null; child = child.next) {
    if (other === null || !isEqual(child, other)) return false;
    other = other.next;
  }
  return other === null;
}

const sameName = (a, b) => a.namespace === b.namespace && a.localName === b.localName;

// Whether nodes equal each other. (DOM, "A node A equals a node B".)

import { ATTRIBUTE, DOCUMENT_TYPE, ELEMENT, PROCESSING_INSTRUCTION } from "./nodes.js";

// Without recursion, for deep trees.
export function isEqual(a, b) {
  for (let one = a, other = b; ;) {
    if (!isSame(one, other) || (one.first === null) !== (other.first === null)) return false;
    if (one.first !== null) {
      one = one.first;
      other = other.first;
      continue;
    }
    while (one !== a && one.next === null) {
      if (other.next !== null) return false;
      one = one.parent;
      other = other.parent;
    }
    if (one === a) return true;
    if (other.next === null) return false;
    one = one.next;
    other = other.next;
  }
}

// Whether they are equal but for their children.
function isSame(a, b) {
  if (a.type !== b.type) return false;
  switch (a.type) {
    case DOCUMENT_TYPE: return a.name === b.name && a.publicId === b.publicId && a.systemId === b.systemId;
    case ELEMENT:
      return sameName(a, b) && a.prefix === b.prefix && a.attributes.length === b.attributes.length &&
        a.attributes.every((one) => b.attributes.some((other) => sameName(one, other) && one.value === other.value));
    case ATTRIBUTE: return sameName(a, b) && a.value === b.value;
    case PROCESSING_INSTRUCTION: return a.target === b.target && a.data === b.data;
    default: return a.data === b.data;
  }
}

const sameName = (a, b) => a.namespace === b.namespace && a.localName === b.localName;

// Activation behaviour. (DOM, "Dispatching events"; HTML.)

import { ELEMENT, HTML } from "./nodes.js";

// Local names of HTML elements to { has(element), activate(element, event), before(element), canceled(element, state) }.
export const activations = new Map();

// The activation behaviour of a node, bound to it; null if it has none.
export function activationOf(record) {
  if (record === null || record.type !== ELEMENT || record.namespace !== HTML) return null;
  const behaviour = activations.get(record.localName);
  if (behaviour === undefined || (behaviour.has !== undefined && !behaviour.has(record))) return null;
  return {
    activate: (event) => behaviour.activate(record, event),
    // Legacy-pre-activation behaviour; what it gives goes to the legacy-canceled-activation behaviour.
    before: () => behaviour.before?.(record),
    canceled: (state) => behaviour.canceled?.(record, state),
  };
}

// Mutation records and who gets them. (DOM, "Mutation observers".)

import { wrap } from "./nodes.js";

// How many nodes are observed: while there is none, changes cost nothing.
let observed = 0;

// Registers an observer of a node, or the options of one that is.
export function observe(node, observer, options) {
  node.observers ??= [];
  const registered = node.observers.find((each) => each.observer === observer);
  if (registered !== undefined) {
    registered.options = options;
    return false;
  }
  node.observers.push({ observer, options });
  observed++;
  return true;
}

export function unobserve(node, observer) {
  const before = node.observers?.length ?? 0;
  if (before === 0) return;
  node.observers = node.observers.filter((each) => each.observer !== observer);
  observed -= before - node.observers.length;
}

// Queue a mutation record.
export function queueRecord(type, target, { name = null, namespace = null, oldValue = null, added = [], removed = [], previous = null, next = null }) {
  if (observed === 0) return;
  // Steps 1 to 3.
  const interested = new Map();
  for (let node = target; node !== null; node = node.parent) {
    for (const { observer, options } of node.observers ?? []) {
      if (node !== target && !options.subtree) continue;
      if (type === "attributes" && (!options.attributes || (options.attributeFilter && (namespace !== null || !options.attributeFilter.includes(name))))) continue;
      if (type === "characterData" && !options.characterData) continue;
      if (type === "childList" && !options.childList) continue;
      const wantsOld = (type === "attributes" && options.attributeOldValue) || (type === "characterData" && options.characterDataOldValue);
      if (!interested.has(observer) || wantsOld) interested.set(observer, wantsOld ? oldValue : interested.get(observer) ?? null);
    }
  }
  // Steps 4 and 5.
  for (const [observer, old] of interested) {
    observer.enqueue({
      type, target: wrap(target), attributeName: name, attributeNamespace: namespace, oldValue: old, added: added.map(wrap), removed: removed.map(wrap),
      previousSibling: wrap(previous), nextSibling: wrap(next),
    });
  }
}

// Queue a tree mutation record.
export function queueTreeRecord(target, added, removed, previous, next) {
  queueRecord("childList", target, { added, removed, previous, next });
}

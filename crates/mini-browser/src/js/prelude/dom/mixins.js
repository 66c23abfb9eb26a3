// ChildNode, NonDocumentTypeChildNode, ParentNode and NonElementParentNode. (DOM, "Mixins".)

import { DOMString, required } from "../webidl.js";
import { convertNodes, ensurePreInsertValidity, preInsert, remove, replace, replaceAll } from "./mutation.js";
import { DOCUMENT, attribute, childrenOf, elementsBelow, firstElement, isElement, wrap } from "./nodes.js";
import { liveCollection, staticList } from "./collections.js";
import { elementById } from "./names.js";
import { recordIfNode, recordOf } from "./node.js";
import { closest as closestMatch, matches, parseSelector } from "./selectors.js";

function include(Class, mixin) {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(mixin))) Object.defineProperty(Class.prototype, name, descriptor);
}

// (Node or DOMString)... as records and strings.
const items = (given) => given.map((item) => recordIfNode(item) ?? DOMString(item));

export function includeChildNode(Class) {
  include(Class, {
    before(...nodes) {
      const record = recordOf(this);
      const { parent } = record;
      const added = items(nodes);
      if (parent === null) return;
      let viable = record.previous;
      while (viable !== null && added.includes(viable)) viable = viable.previous;
      const node = convertNodes(added, record.document);
      preInsert(node, parent, viable === null ? parent.first : viable.next);
    },
    after(...nodes) {
      const record = recordOf(this);
      const { parent } = record;
      const added = items(nodes);
      if (parent === null) return;
      let viable = record.next;
      while (viable !== null && added.includes(viable)) viable = viable.next;
      preInsert(convertNodes(added, record.document), parent, viable);
    },
    replaceWith(...nodes) {
      const record = recordOf(this);
      const { parent } = record;
      const added = items(nodes);
      if (parent === null) return;
      let viable = record.next;
      while (viable !== null && added.includes(viable)) viable = viable.next;
      const node = convertNodes(added, record.document);
      if (record.parent === parent) replace(record, node, parent);
      else preInsert(node, parent, viable);
    },
    remove() {
      const record = recordOf(this);
      if (record.parent !== null) remove(record);
    },
  });
}

export function includeNonDocumentTypeChildNode(Class) {
  include(Class, {
    get previousElementSibling() {
      let { previous } = recordOf(this);
      while (previous !== null && !isElement(previous)) previous = previous.previous;
      return wrap(previous);
    },
    get nextElementSibling() {
      let { next } = recordOf(this);
      while (next !== null && !isElement(next)) next = next.next;
      return wrap(next);
    },
  });
}

// Collections that are the same object each time.
const childCollections = new WeakMap();

export function includeParentNode(Class) {
  include(Class, {
    get children() {
      const record = recordOf(this);
      let collection = childCollections.get(record);
      if (collection === undefined) childCollections.set(record, collection = liveCollection(record, () => childrenOf(record).filter(isElement)));
      return collection;
    },
    get firstElementChild() { return wrap(childrenOf(recordOf(this)).find(isElement) ?? null); },
    get lastElementChild() { return wrap(childrenOf(recordOf(this)).findLast(isElement) ?? null); },
    get childElementCount() { return childrenOf(recordOf(this)).filter(isElement).length; },
    prepend(...nodes) {
      const record = recordOf(this);
      preInsert(convertNodes(items(nodes), record.document), record, record.first);
    },
    append(...nodes) {
      const record = recordOf(this);
      preInsert(convertNodes(items(nodes), record.document), record, null);
    },
    replaceChildren(...nodes) {
      const record = recordOf(this);
      const node = convertNodes(items(nodes), record.document);
      ensurePreInsertValidity(node, record, null);
      replaceAll(node, record);
    },
    querySelector(selectors) {
      required(arguments.length, 1, "querySelector");
      const record = recordOf(this);
      const selector = parseSelector(DOMString(selectors));
      return wrap(firstElement(record, (element) => matches(element, selector, record)));
    },
    querySelectorAll(selectors) {
      required(arguments.length, 1, "querySelectorAll");
      const record = recordOf(this);
      const selector = parseSelector(DOMString(selectors));
      return staticList(elementsBelow(record, (element) => matches(element, selector, record)));
    },
  });
}

export function includeNonElementParentNode(Class) {
  include(Class, {
    getElementById(id) {
      required(arguments.length, 1, "getElementById");
      id = DOMString(id);
      const record = recordOf(this);
      if (id === "") return null;
      return wrap(record.type === DOCUMENT ? elementById(record, id) : firstElement(record, (element) => attribute(element, "id") === id));
    },
  });
}

// What Element has of selectors.
export function includeSelectors(Class) {
  include(Class, {
    closest(selectors) {
      required(arguments.length, 1, "closest");
      return wrap(closestMatch(recordOf(this), parseSelector(DOMString(selectors))));
    },
    matches(selectors) {
      required(arguments.length, 1, "matches");
      const record = recordOf(this);
      return matches(record, parseSelector(DOMString(selectors)), record);
    },
    webkitMatchesSelector(selectors) { return this.matches(selectors); },
  });
}

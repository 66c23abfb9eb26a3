// Node. (DOM, "Interface Node".)

import { op_ask_realms, op_set_hook } from "ops";
import { EventTarget } from "../events.js";
import { DOMString, idl, illegal, required } from "../webidl.js";
import { liveList } from "./collections.js";
import { isEqual } from "./equality.js";
import { connectAll } from "./names.js";
import { append, clone, preInsert, preRemove, remove, replace, stringReplaceAll } from "./mutation.js";
import {
  ATTRIBUTE, CDATA_SECTION, COMMENT, DOCUMENT, DOCUMENT_FRAGMENT, DOCUMENT_TYPE, ELEMENT, PROCESSING_INSTRUCTION, TEXT, XML, XMLNS, childrenOf,
  following, inclusiveDescendants, isCharacterData, isConnected, isInclusiveAncestor, root, textContent, wrap,
} from "./nodes.js";
import { change } from "./attributes.js";
import { replaceData } from "./character_data_steps.js";

let recordIn;

const DISCONNECTED = 1, PRECEDING = 2, FOLLOWING = 4, CONTAINS = 8, CONTAINED_BY = 16, IMPLEMENTATION_SPECIFIC = 32;

export class Node extends EventTarget {
  #record;
  #childNodes = null;
  constructor(...args) {
    illegal(args[0]);
    super();
    this.#record = args[1];
    this.#record.wrapper = this;
  }
  static { recordIn = (value) => (typeof value === "object" && value !== null && #record in value ? value.#record : null); }

  get nodeType() { return recordOf(this).type; }
  get nodeName() { return nodeName(recordOf(this)); }
  get baseURI() {
    const { document } = recordOf(this);
    return document.home.baseUrlOf(document);
  }
  get isConnected() { return isConnected(recordOf(this)); }
  get ownerDocument() {
    const record = recordOf(this);
    return record.type === DOCUMENT ? null : wrap(record.document);
  }
  getRootNode() { return wrap(root(recordOf(this))); }
  get parentNode() { return wrap(recordOf(this).parent); }
  get parentElement() {
    const { parent } = recordOf(this);
    return parent !== null && parent.type === ELEMENT ? wrap(parent) : null;
  }
  hasChildNodes() { return recordOf(this).first !== null; }
  get childNodes() {
    const record = recordOf(this);
    return (this.#childNodes ??= liveList(record, () => childrenOf(record)));
  }
  get firstChild() { return wrap(recordOf(this).first); }
  get lastChild() { return wrap(recordOf(this).last); }
  get previousSibling() { return wrap(recordOf(this).previous); }
  get nextSibling() { return wrap(recordOf(this).next); }
  get nodeValue() {
    const record = recordOf(this);
    return record.type === ATTRIBUTE ? record.value : record.data ?? null;
  }
  set nodeValue(value) {
    const record = recordOf(this);
    const string = value === null ? "" : DOMString(value);
    if (record.type === ATTRIBUTE) change(record, string);
    else if (isCharacterData(record)) replaceData(record, 0, record.data.length, string);
  }
  get textContent() {
    const record = recordOf(this);
    switch (record.type) {
      case ELEMENT:
      case DOCUMENT_FRAGMENT: return textContent(record);
      case ATTRIBUTE: return record.value;
      default: return record.data ?? null;
    }
  }
  set textContent(value) {
    const record = recordOf(this);
    const string = value === null || value === undefined ? "" : DOMString(value);
    if (record.type === ELEMENT || record.type === DOCUMENT_FRAGMENT) stringReplaceAll(string, record);
    else if (record.type === ATTRIBUTE) change(record, string);
    else if (isCharacterData(record)) replaceData(record, 0, record.data.length, string);
  }
  normalize() {
    const record = recordOf(this);
    for (const node of inclusiveDescendants(record)) {
      if (node.type !== TEXT || node.parent === null || node === record) continue;
      if (node.data === "") {
        remove(node);
        continue;
      }
      let data = "";
      const contiguous = [];
      for (let next = node.next; next !== null && next.type === TEXT; next = next.next) {
        data += next.data;
        contiguous.push(next);
      }
      if (contiguous.length === 0) continue;
      replaceData(node, node.data.length, 0, data);
      for (const each of contiguous) remove(each);
    }
  }
  cloneNode(deep = false) {
    const copy = clone(recordOf(this), undefined, !!deep);
    if (copy.type === DOCUMENT) connectAll(copy);
    return wrap(copy);
  }
  isEqualNode(other) {
    required(arguments.length, 1, "isEqualNode");
    const record = recordOf(this);
    return other !== null && other !== undefined && isEqual(record, nodeArgument(other, "isEqualNode"));
  }
  isSameNode(other) {
    required(arguments.length, 1, "isSameNode");
    return recordOf(this).wrapper === other;
  }
  compareDocumentPosition(other) {
    required(arguments.length, 1, "compareDocumentPosition");
    return position(recordOf(this), nodeArgument(other, "compareDocumentPosition"));
  }
  contains(other) {
    required(arguments.length, 1, "contains");
    const record = recordOf(this);
    return other !== null && other !== undefined && isInclusiveAncestor(record, nodeArgument(other, "contains"));
  }
  lookupPrefix(namespace) {
    required(arguments.length, 1, "lookupPrefix");
    const element = elementFor(recordOf(this));
    return element === null || namespace === null || namespace === "" ? null : locatePrefix(element, DOMString(namespace));
  }
  lookupNamespaceURI(prefix) {
    required(arguments.length, 1, "lookupNamespaceURI");
    const wanted = prefix === null || prefix === undefined || prefix === "" ? null : DOMString(prefix);
    return locateNamespace(elementFor(recordOf(this)), wanted);
  }
  isDefaultNamespace(namespace) {
    required(arguments.length, 1, "isDefaultNamespace");
    const wanted = namespace === null || namespace === undefined || namespace === "" ? null : DOMString(namespace);
    return locateNamespace(elementFor(recordOf(this)), null) === wanted;
  }
  insertBefore(node, child) {
    required(arguments.length, 2, "insertBefore");
    const parent = recordOf(this);
    const before = child === null || child === undefined ? null : nodeArgument(child, "insertBefore");
    return wrap(preInsert(nodeArgument(node, "insertBefore"), parent, before));
  }
  appendChild(node) {
    required(arguments.length, 1, "appendChild");
    return wrap(append(nodeArgument(node, "appendChild"), recordOf(this)));
  }
  replaceChild(node, child) {
    required(arguments.length, 2, "replaceChild");
    const parent = recordOf(this);
    return wrap(replace(nodeArgument(child, "replaceChild"), nodeArgument(node, "replaceChild"), parent));
  }
  removeChild(child) {
    required(arguments.length, 1, "removeChild");
    return wrap(preRemove(nodeArgument(child, "removeChild"), recordOf(this)));
  }
}
idl(Node, {
  constants: {
    ELEMENT_NODE: ELEMENT, ATTRIBUTE_NODE: ATTRIBUTE, TEXT_NODE: TEXT, CDATA_SECTION_NODE: CDATA_SECTION, ENTITY_REFERENCE_NODE: 5, ENTITY_NODE: 6,
    PROCESSING_INSTRUCTION_NODE: PROCESSING_INSTRUCTION, COMMENT_NODE: COMMENT, DOCUMENT_NODE: DOCUMENT, DOCUMENT_TYPE_NODE: DOCUMENT_TYPE,
    DOCUMENT_FRAGMENT_NODE: DOCUMENT_FRAGMENT, NOTATION_NODE: 12, DOCUMENT_POSITION_DISCONNECTED: DISCONNECTED, DOCUMENT_POSITION_PRECEDING: PRECEDING,
    DOCUMENT_POSITION_FOLLOWING: FOLLOWING, DOCUMENT_POSITION_CONTAINS: CONTAINS, DOCUMENT_POSITION_CONTAINED_BY: CONTAINED_BY,
    DOCUMENT_POSITION_IMPLEMENTATION_SPECIFIC: IMPLEMENTATION_SPECIFIC,
  },
});

// The record of a node, of whichever realm of the agent; throws for anything else.
export function recordOf(value) {
  const record = recordIn(value) ?? foreign(value);
  if (record === null) throw new TypeError("Illegal invocation");
  return record;
}

// The record of an argument that has to be a node.
export function nodeArgument(value, what) {
  const record = recordIn(value) ?? foreign(value);
  if (record === null) throw new TypeError(`${what}: the argument is not a Node`);
  return record;
}

// The record of a node; null for anything else.
export const recordIfNode = (value) => recordIn(value) ?? foreign(value);

function foreign(value) {
  return typeof value === "object" && value !== null ? op_ask_realms("nodeRecord", value) ?? null : null;
}
op_set_hook("nodeRecord", recordIn);

function nodeName(record) {
  switch (record.type) {
    case ELEMENT: return wrap(record).tagName;
    case ATTRIBUTE: return record.prefix === null ? record.localName : `${record.prefix}:${record.localName}`;
    case TEXT: return "#text";
    case CDATA_SECTION: return "#cdata-section";
    case PROCESSING_INSTRUCTION: return record.target;
    case COMMENT: return "#comment";
    case DOCUMENT: return "#document";
    case DOCUMENT_TYPE: return record.name;
    default: return "#document-fragment";
  }
}

// compareDocumentPosition(): where `other` is, seen from `record`.
function position(record, other) {
  // Steps 1 to 5.
  if (record === other) return 0;
  const [first, second] = [other, record].map((node) => (node.type === ATTRIBUTE ? { node: node.element, attribute: node } : { node, attribute: null }));
  if (first.attribute !== null && second.attribute !== null && first.node === second.node && first.node !== null) {
    const [before] = first.node.attributes.filter((attribute) => attribute === first.attribute || attribute === second.attribute);
    return IMPLEMENTATION_SPECIFIC + (before === first.attribute ? PRECEDING : FOLLOWING);
  }
  // Step 6.
  if (first.node === null || second.node === null || root(first.node) !== root(second.node)) {
    return DISCONNECTED + IMPLEMENTATION_SPECIFIC + (order(other) < order(record) ? PRECEDING : FOLLOWING);
  }
  // Steps 7 to 10.
  if ((first.node !== second.node && isInclusiveAncestor(first.node, second.node) && first.attribute === null) || (first.node === second.node && second.attribute !== null)) {
    return CONTAINS + PRECEDING;
  }
  if ((first.node !== second.node && isInclusiveAncestor(second.node, first.node) && second.attribute === null) || (first.node === second.node && first.attribute !== null)) {
    return CONTAINED_BY + FOLLOWING;
  }
  for (let next = second.node; next !== null; next = following(next, null)) if (next === first.node) return FOLLOWING;
  return PRECEDING;
}

// An order of nodes that are in no tree together; it stays the same.
const orders = new WeakMap();
let lastOrder = 0;
function order(record) {
  const top = root(record);
  if (!orders.has(top)) orders.set(top, ++lastOrder);
  return orders.get(top);
}

// The element that namespaces are looked up at.
function elementFor(record) {
  switch (record.type) {
    case ELEMENT: return record;
    case DOCUMENT: return childrenOf(record).find((child) => child.type === ELEMENT) ?? null;
    case DOCUMENT_TYPE:
    case DOCUMENT_FRAGMENT: return null;
    case ATTRIBUTE: return record.element;
    default: return record.parent?.type === ELEMENT ? record.parent : null;
  }
}

// Locate a namespace prefix.
function locatePrefix(element, namespace) {
  for (let next = element; next !== null && next.type === ELEMENT; next = next.parent) {
    if (next.namespace === namespace && next.prefix !== null) return next.prefix;
    const declared = next.attributes.find((attribute) => attribute.prefix === "xmlns" && attribute.value === namespace);
    if (declared !== undefined) return declared.localName;
  }
  return null;
}

// Locate a namespace.
function locateNamespace(element, prefix) {
  if (prefix === "xml" && element !== null) return XML;
  if (prefix === "xmlns" && element !== null) return XMLNS;
  for (let next = element; next !== null && next.type === ELEMENT; next = next.parent) {
    if (next.namespace !== null && next.prefix === prefix) return next.namespace;
    const declared = next.attributes.find(({ namespace, prefix: own, localName }) =>
      namespace === XMLNS && (prefix === null ? own === null && localName === "xmlns" : own === "xmlns" && localName === prefix));
    if (declared !== undefined) return declared.value === "" ? null : declared.value;
  }
  return null;
}


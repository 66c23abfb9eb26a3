// Changes of trees. (DOM, "Mutation algorithms".)

import { errorOf } from "../webidl.js";
import {
  CDATA_SECTION, DOCUMENT, DOCUMENT_FRAGMENT, DOCUMENT_TYPE, ELEMENT, HTML, PROCESSING_INSTRUCTION, TEXT, ATTRIBUTE, attribute,
  childrenOf, firstElementChild, following, inclusiveDescendants, isConnected, isCharacterData, isHostIncludingInclusiveAncestor, newAttribute,
  newCharacterData, newDocument, newDocumentType, newElement, newFragment, newText,
} from "./nodes.js";
import { queueTreeRecord } from "./mutation_records.js";

const hierarchy = (message) => errorOf("HierarchyRequestError", message);
const notFound = () => errorOf("NotFoundError", "The node is not a child of this node");

const isParent = (record) => record.type === DOCUMENT || record.type === DOCUMENT_FRAGMENT || record.type === ELEMENT;

// Ensure pre-insertion validity.
export function ensurePreInsertValidity(node, parent, child) {
  // Steps 1 to 5.
  if (!isParent(parent)) throw hierarchy("This node cannot have children");
  if (isHostIncludingInclusiveAncestor(node, parent)) throw hierarchy("The new child contains the parent");
  if (child !== null && child.parent !== parent) throw notFound();
  checkType(node, parent);
  // Step 6.
  if (parent.type !== DOCUMENT) return;
  const followedByDoctype = () => {
    for (let next = child; next !== null; next = next.next) if (next.type === DOCUMENT_TYPE) return true;
    return false;
  };
  const hasElement = () => firstElementChild(parent) !== null;
  const refused = () => hierarchy("The document cannot have this child there");
  switch (node.type) {
    case DOCUMENT_FRAGMENT: {
      const elements = countElements(node);
      if (elements > 1) throw refused();
      if (elements === 1 && (hasElement() || followedByDoctype())) throw refused();
      break;
    }
    case ELEMENT:
      if (hasElement() || followedByDoctype()) throw refused();
      break;
    case DOCUMENT_TYPE: {
      if (childrenOf(parent).some((other) => other.type === DOCUMENT_TYPE)) throw refused();
      const before = child === null ? parent.last : child.previous;
      for (let each = before; each !== null; each = each.previous) if (each.type === ELEMENT) throw refused();
      break;
    }
    default:
  }
}

// Steps 4 and 5 of it.
function checkType(node, parent) {
  const isChild = node.type === DOCUMENT_FRAGMENT || node.type === DOCUMENT_TYPE || node.type === ELEMENT || (isCharacterData(node) && node.type !== ATTRIBUTE);
  if (!isChild) throw hierarchy("This node cannot be a child");
  if (node.type === TEXT && parent.type === DOCUMENT) throw hierarchy("A document cannot have text");
  if (node.type === DOCUMENT_TYPE && parent.type !== DOCUMENT) throw hierarchy("Only a document can have a doctype");
}

// The number of element children of a fragment; two if it has text.
function countElements(fragment) {
  let count = 0;
  for (let child = fragment.first; child !== null; child = child.next) {
    if (child.type === ELEMENT) count++;
    if (child.type === TEXT || child.type === CDATA_SECTION) return 2;
  }
  return count;
}

// Pre-insert.
export function preInsert(node, parent, child) {
  ensurePreInsertValidity(node, parent, child);
  insert(node, parent, child === node ? node.next : child);
  return node;
}

export const append = (node, parent) => preInsert(node, parent, null);

// Insert a node into a parent before a child.
export function insert(node, parent, child, suppressObservers = false) {
  // Steps 1 to 4.
  const nodes = node.type === DOCUMENT_FRAGMENT ? childrenOf(node) : [node];
  if (nodes.length === 0) return;
  if (node.type === DOCUMENT_FRAGMENT) {
    for (const each of nodes) remove(each, true);
    queueTreeRecord(node, [], nodes, null, null);
  }
  // Steps 6 and 7.
  const previous = child === null ? parent.last : child.previous;
  for (const each of nodes) {
    adopt(each, parent.document);
    link(each, parent, child);
  }
  const elements = !isConnected(parent) ? [] : nodes.length === 1 && nodes[0].first === null ? nodes : nodes.flatMap(inclusiveDescendants);
  for (const each of elements) each.isConnected = true;
  parent.document.version++;
  // Step 8.
  if (!suppressObservers) queueTreeRecord(parent, nodes, [], previous, child);
  // Step 9.
  const { home } = parent.document;
  home.childrenChanged(parent);
  // Steps 10 to 12.
  if (!isConnected(parent)) return;
  for (const each of elements) if (each.type === ELEMENT) home.namesChanged(each, true);
  for (const each of elements) if (each.type === ELEMENT && isConnected(each)) each.document.home.connected(each);
}

// Puts a node into its place.
export function link(node, parent, child) {
  const previous = child === null ? parent.last : child.previous;
  node.parent = parent;
  node.previous = previous;
  node.next = child;
  if (previous === null) parent.first = node;
  else previous.next = node;
  if (child === null) parent.last = node;
  else child.previous = node;
}

function unlink(node) {
  const { parent, previous, next } = node;
  if (previous === null) parent.first = next;
  else previous.next = next;
  if (next === null) parent.last = previous;
  else next.previous = previous;
  node.parent = node.previous = node.next = null;
}

// Remove a node.
export function remove(node, suppressObservers = false) {
  const { parent, previous, next } = node;
  const wasConnected = isConnected(parent);
  const { document } = node;
  unlink(node);
  document.version++;
  // Steps 11 to 14.
  if (wasConnected) {
    const elements = node.first === null ? [node] : inclusiveDescendants(node);
    for (const each of elements) each.isConnected = false;
    for (const each of elements) {
      if (each.type !== ELEMENT) continue;
      document.home.namesChanged(each, false);
      document.home.disconnected(each);
    }
  }
  // Step 20.
  if (!suppressObservers) queueTreeRecord(parent, [], [node], previous, next);
  document.home.childrenChanged(parent);
}

// Pre-remove.
export function preRemove(child, parent) {
  if (child.parent !== parent) throw notFound();
  remove(child);
  return child;
}

// Replace a child with a node within a parent.
export function replace(child, node, parent) {
  // Steps 1 to 5.
  if (!isParent(parent)) throw hierarchy("This node cannot have children");
  if (isHostIncludingInclusiveAncestor(node, parent)) throw hierarchy("The new child contains the parent");
  if (child.parent !== parent) throw notFound();
  checkType(node, parent);
  // Step 6.
  if (parent.type === DOCUMENT) checkReplacement(child, node, parent);
  // Steps 7 to 9.
  let reference = child.next;
  if (reference === node) reference = node.next;
  const previous = child.previous;
  // Steps 10 to 14.
  let removed = [];
  if (child.parent !== null) {
    removed = [child];
    remove(child, true);
  }
  const nodes = node.type === DOCUMENT_FRAGMENT ? childrenOf(node) : [node];
  insert(node, parent, reference, true);
  queueTreeRecord(parent, nodes, removed, previous, reference);
  return child;
}

// Step 6 of it.
function checkReplacement(child, node, parent) {
  const refused = () => hierarchy("The document cannot have this child there");
  const others = childrenOf(parent).filter((other) => other !== child);
  const followedByDoctype = () => {
    for (let next = child.next; next !== null; next = next.next) if (next.type === DOCUMENT_TYPE) return true;
    return false;
  };
  const elements = node.type === DOCUMENT_FRAGMENT ? countElements(node) : node.type === ELEMENT ? 1 : 0;
  if (elements > 1) throw refused();
  if (elements === 1 && (others.some((other) => other.type === ELEMENT) || followedByDoctype())) throw refused();
  if (node.type !== DOCUMENT_TYPE) return;
  if (others.some((other) => other.type === DOCUMENT_TYPE)) throw refused();
  for (let each = child.previous; each !== null; each = each.previous) if (each.type === ELEMENT) throw refused();
}

// Replace all with a node, or with nothing, within a parent.
export function replaceAll(node, parent) {
  const removed = childrenOf(parent);
  const added = node === null ? [] : node.type === DOCUMENT_FRAGMENT ? childrenOf(node) : [node];
  for (const child of removed) if (child.parent === parent) remove(child, true);
  if (node !== null) insert(node, parent, null, true);
  if (added.length > 0 || removed.length > 0) queueTreeRecord(parent, added, removed, null, null);
}

// String replace all.
export function stringReplaceAll(string, parent) {
  replaceAll(string === "" ? null : newText(parent.document, string), parent);
}

// Adopt a node into a document.
export function adopt(node, document) {
  if (node.parent !== null) remove(node);
  const old = node.document;
  if (document === old) return;
  old.version++;
  for (let next = node; next !== null; next = following(next, node)) {
    next.document = document;
    if (next.type !== ELEMENT) continue;
    for (const each of next.attributes) each.document = document;
    const content = next.localName === "template" && next.namespace === HTML ? next.own?.content : undefined;
    if (content !== undefined) adopt(content, newElement(document, "template").own.content.document);
  }
}

// Clone a node. Without recursion, for deep trees.
export function clone(node, document = node.document, subtree = false, parent = null) {
  const copy = cloneSingle(node, document);
  if (parent !== null) link(copy, parent, null);
  if (!subtree) return copy;
  const target = copy.type === DOCUMENT ? copy : document;
  for (let from = node, to = copy; ;) {
    if (from.first !== null) {
      from = from.first;
    } else {
      while (from !== node && from.next === null) {
        from = from.parent;
        to = to.parent;
      }
      if (from === node) return copy;
      from = from.next;
      to = to.parent;
    }
    const next = cloneSingle(from, target);
    link(next, to, null);
    to = next;
  }
}

function cloneSingle(node, document) {
  switch (node.type) {
    case ELEMENT: {
      const copy = newElement(document, node.localName, node.namespace, node.prefix);
      for (const { namespace, prefix, localName, value } of node.attributes) {
        const attribute = newAttribute(document, namespace, prefix, localName, value);
        attribute.element = copy;
        copy.attributes.push(attribute);
        document.home.attributeChanged(copy, attribute, null, value);
      }
      cloningSteps(node, copy);
      return copy;
    }
    case DOCUMENT: {
      const copy = newDocument({ isHtml: node.isHtml, contentType: node.contentType, url: node.url ?? node.home.urlOf(node), home: node.home });
      copy.mode = node.mode;
      copy.encoding = node.encoding;
      return copy;
    }
    case DOCUMENT_TYPE: return newDocumentType(document, node.name, node.publicId, node.systemId);
    case DOCUMENT_FRAGMENT: return newFragment(document);
    case ATTRIBUTE: return newAttribute(document, node.namespace, node.prefix, node.localName, node.value);
    case PROCESSING_INSTRUCTION:
    default: return newCharacterData(node.type, document, node.data, node.target);
  }
}

// Cloning steps of HTML elements.
function cloningSteps(node, copy) {
  if (node.namespace !== HTML || node.own === null) return;
  switch (node.localName) {
    case "script":
      copy.own = { alreadyStarted: node.own.alreadyStarted === true };
      break;
    case "template":
      for (let child = node.own.content.first; child !== null; child = child.next) clone(child, copy.own.content.document, true, copy.own.content);
      break;
    case "input":
    case "textarea": {
      const { value, isDirty, checked, isCheckednessDirty } = node.own;
      copy.own = { value, isDirty, checked, isCheckednessDirty };
      break;
    }
    default:
  }
}

// Convert nodes into a node. Items are records or strings.
export function convertNodes(items, document) {
  const nodes = items.map((item) => (typeof item === "string" ? newText(document, item) : item));
  if (nodes.length === 1) return nodes[0];
  const fragment = newFragment(document);
  for (const node of nodes) append(node, fragment);
  return fragment;
}

// Whether the attribute is there.
export const hasAttribute = (element, localName) => attribute(element, localName) !== null;

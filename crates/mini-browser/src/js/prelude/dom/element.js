// Element. (DOM, "Interface Element".)

import { DOMString, errorOf, idl, required } from "../webidl.js";
import { attributeArgument, attributesOf } from "./attr.js";
import {
  appendAttribute, byName, byNamespace, checkAttributeName, extractName, lowercase, removeAttribute, setAttribute, setValue, uppercase, change,
} from "./attributes.js";
import { byClassName, byTagName, byTagNameNS } from "./collections.js";
import { preInsert, replace, replaceAll } from "./mutation.js";
import { DOCUMENT, DOCUMENT_FRAGMENT, ELEMENT, HTML, isHtml, newAttribute, newElement, newText, qualifiedName, wrap } from "./nodes.js";
import { includeChildNode, includeNonDocumentTypeChildNode, includeParentNode, includeSelectors } from "./mixins.js";
import { Node, nodeArgument, recordOf } from "./node.js";
import { parseFragment } from "./parse_fragment.js";
import { reflect } from "./reflect.js";
import { serializeChildren, serialize } from "./serialize.js";
import { tokenList } from "./token_list.js";

const nullable = (value) => (value === null || value === undefined ? null : DOMString(value));

export class Element extends Node {
  #attributes = null;
  #classList = null;
  get namespaceURI() { return recordOf(this).namespace; }
  get prefix() { return recordOf(this).prefix; }
  get localName() { return recordOf(this).localName; }
  get tagName() {
    const record = recordOf(this);
    const name = qualifiedName(record);
    return record.namespace === HTML && record.document.isHtml ? uppercase(name) : name;
  }
  get classList() { return (this.#classList ??= tokenList(recordOf(this), "class")); }
  set classList(value) { this.classList.value = value; }
  hasAttributes() { return recordOf(this).attributes.length > 0; }
  get attributes() { return (this.#attributes ??= attributesOf(recordOf(this))); }
  getAttributeNames() { return recordOf(this).attributes.map(qualifiedName); }
  getAttribute(name) {
    required(arguments.length, 1, "getAttribute");
    return byName(recordOf(this), DOMString(name))?.value ?? null;
  }
  getAttributeNS(namespace, localName) {
    required(arguments.length, 2, "getAttributeNS");
    return byNamespace(recordOf(this), nullable(namespace), DOMString(localName))?.value ?? null;
  }
  setAttribute(name, value) {
    required(arguments.length, 2, "setAttribute");
    const record = recordOf(this);
    name = DOMString(name);
    value = DOMString(value);
    checkAttributeName(name);
    if (record.namespace === HTML && record.document.isHtml) name = lowercase(name);
    const found = byName(record, name);
    if (found === null) appendAttribute(newAttribute(record.document, null, null, name, value), record);
    else change(found, value);
  }
  setAttributeNS(namespace, name, value) {
    required(arguments.length, 3, "setAttributeNS");
    const record = recordOf(this);
    const extracted = extractName(nullable(namespace), DOMString(name), false);
    setValue(record, extracted.localName, DOMString(value), extracted.prefix, extracted.namespace);
  }
  removeAttribute(name) {
    required(arguments.length, 1, "removeAttribute");
    const found = byName(recordOf(this), DOMString(name));
    if (found !== null) removeAttribute(found);
  }
  removeAttributeNS(namespace, localName) {
    required(arguments.length, 2, "removeAttributeNS");
    const found = byNamespace(recordOf(this), nullable(namespace), DOMString(localName));
    if (found !== null) removeAttribute(found);
  }
  toggleAttribute(name, force = undefined) {
    required(arguments.length, 1, "toggleAttribute");
    const record = recordOf(this);
    name = DOMString(name);
    checkAttributeName(name);
    const found = byName(record, name);
    if (found === null) {
      if (force !== undefined && !force) return false;
      this.setAttribute(name, "");
      return true;
    }
    if (force) return true;
    removeAttribute(found);
    return false;
  }
  hasAttribute(name) {
    required(arguments.length, 1, "hasAttribute");
    return byName(recordOf(this), DOMString(name)) !== null;
  }
  hasAttributeNS(namespace, localName) {
    required(arguments.length, 2, "hasAttributeNS");
    return byNamespace(recordOf(this), nullable(namespace), DOMString(localName)) !== null;
  }
  getAttributeNode(name) {
    required(arguments.length, 1, "getAttributeNode");
    return wrap(byName(recordOf(this), DOMString(name)));
  }
  getAttributeNodeNS(namespace, localName) {
    required(arguments.length, 2, "getAttributeNodeNS");
    return wrap(byNamespace(recordOf(this), nullable(namespace), DOMString(localName)));
  }
  setAttributeNode(attr) {
    required(arguments.length, 1, "setAttributeNode");
    return wrap(setAttribute(attributeArgument(attr, "setAttributeNode"), recordOf(this)));
  }
  setAttributeNodeNS(attr) {
    required(arguments.length, 1, "setAttributeNodeNS");
    return wrap(setAttribute(attributeArgument(attr, "setAttributeNodeNS"), recordOf(this)));
  }
  removeAttributeNode(attr) {
    required(arguments.length, 1, "removeAttributeNode");
    const attribute = attributeArgument(attr, "removeAttributeNode");
    if (attribute.element !== recordOf(this)) throw errorOf("NotFoundError", "The attribute is not this element's");
    return wrap(removeAttribute(attribute));
  }
  getElementsByTagName(name) {
    required(arguments.length, 1, "getElementsByTagName");
    return byTagName(recordOf(this), DOMString(name));
  }
  getElementsByTagNameNS(namespace, localName) {
    required(arguments.length, 2, "getElementsByTagNameNS");
    return byTagNameNS(recordOf(this), nullable(namespace), DOMString(localName));
  }
  getElementsByClassName(names) {
    required(arguments.length, 1, "getElementsByClassName");
    return byClassName(recordOf(this), DOMString(names));
  }
  insertAdjacentElement(where, element) {
    required(arguments.length, 2, "insertAdjacentElement");
    const node = nodeArgument(element, "insertAdjacentElement");
    if (node.type !== ELEMENT) throw new TypeError("insertAdjacentElement: the argument is not an Element");
    return wrap(insertAdjacent(recordOf(this), DOMString(where), node));
  }
  insertAdjacentText(where, data) {
    required(arguments.length, 2, "insertAdjacentText");
    const record = recordOf(this);
    insertAdjacent(record, DOMString(where), newText(record.document, DOMString(data)));
  }

  // HTML, "Dynamic markup insertion".
  get innerHTML() {
    const record = recordOf(this);
    return serializeChildren(isHtml(record, "template") ? record.own.content : record);
  }
  set innerHTML(value) {
    const record = recordOf(this);
    const fragment = parseFragment(record, value === null ? "" : DOMString(value));
    replaceAll(fragment, isHtml(record, "template") ? record.own.content : record);
  }
  get outerHTML() { return serialize(recordOf(this)); }
  set outerHTML(value) {
    const record = recordOf(this);
    const { parent } = record;
    if (parent === null) return;
    if (parent.type === DOCUMENT) throw errorOf("NoModificationAllowedError", "The document element cannot be replaced so");
    const context = parent.type === DOCUMENT_FRAGMENT ? newElement(record.document, "body") : parent;
    replace(record, parseFragment(context, value === null ? "" : DOMString(value)), parent);
  }
  insertAdjacentHTML(where, text) {
    required(arguments.length, 2, "insertAdjacentHTML");
    const record = recordOf(this);
    const position = lowercase(DOMString(where));
    const isOutside = position === "beforebegin" || position === "afterend";
    let context = isOutside ? record.parent : record;
    if (isOutside && (context === null || context.type === DOCUMENT)) throw errorOf("NoModificationAllowedError", "There is no parent to insert into");
    checkPosition(position);
    if (context.type !== ELEMENT || isHtml(context, "html")) context = newElement(record.document, "body");
    insertAdjacent(record, position, parseFragment(context, DOMString(text)));
  }

  // CSSOM View: nothing is laid out.
  getBoundingClientRect() { recordOf(this); return { x: 0, y: 0, width: 0, height: 0, top: 0, right: 0, bottom: 0, left: 0 }; }
  getClientRects() { recordOf(this); return []; }
  scrollIntoView() { recordOf(this); }
  get clientWidth() { recordOf(this); return 0; }
  get clientHeight() { recordOf(this); return 0; }
}
includeParentNode(Element);
includeChildNode(Element);
includeNonDocumentTypeChildNode(Element);
includeSelectors(Element);
reflect(Element, { id: "string", className: ["string", "class"], slot: "string" });
idl(Element);

function checkPosition(where) {
  if (!["beforebegin", "afterbegin", "beforeend", "afterend"].includes(where)) throw errorOf("SyntaxError", `'${where}' is not a position`);
}

// Insert adjacent.
function insertAdjacent(element, where, node) {
  where = lowercase(where);
  checkPosition(where);
  switch (where) {
    case "beforebegin": return element.parent === null ? null : preInsert(node, element.parent, element);
    case "afterbegin": return preInsert(node, element, element.first);
    case "beforeend": return preInsert(node, element, null);
    default: return element.parent === null ? null : preInsert(node, element.parent, element.next);
  }
}


// Carries out what the native HTML parser wants done to a tree.

import { adopt, insert, link, remove } from "./mutation.js";
import { DOCUMENT, TEXT, attribute, childrenOf, isHtml, isText, newAttribute, newComment, newDocumentType, newElement, newText, ownOf } from "./nodes.js";

// Builds in the tree of `top`, number 0. `onPopped(element)` is called when an element's end tag is met.
export class TreeBuilder {
  constructor(top, { onPopped = () => {}, isFragment = false } = {}) {
    this.top = top;
    this.document = top.type === DOCUMENT ? top : top.document;
    this.nodes = [top];
    this.onPopped = onPopped;
    // A fragment is built out of sight: nothing happens as its nodes come in.
    this.isFragment = isFragment;
    this.insert = isFragment ? link : insert;
  }

  build(operations) {
    for (const [name, ...args] of operations) this[name](...args);
  }

  // Create an element for a token.
  element(id, namespace, prefix, localName, attributes, contents) {
    const element = newElement(this.document, localName, namespace, prefix);
    this.addTo(element, attributes);
    this.nodes[id] = element;
    if (contents !== null && contents !== undefined) this.nodes[contents] = element.own?.content;
    if (isHtml(element, "style") && !this.isFragment) ownOf(element).ofParser = true;
    if (isHtml(element, "script")) {
      const own = ownOf(element);
      own.parserDocument = this.document;
      own.forceAsync = false;
    }
  }

  addTo(element, attributes) {
    const { home } = this.document;
    for (let i = 0; i < attributes.length; i += 4) {
      const each = newAttribute(this.document, attributes[i] ?? null, attributes[i + 1] ?? null, attributes[i + 2], attributes[i + 3]);
      each.element = element;
      element.attributes.push(each);
      home.attributeChanged(element, each, null, each.value);
    }
  }

  comment(id, text) { this.nodes[id] = newComment(this.document, text); }
  append(parent, child) { this.put(this.nodes[child], this.nodes[parent], null); }
  appendText(parent, text) { this.putText(text, this.nodes[parent], null); }

  insertBefore(sibling, child) {
    const before = this.nodes[sibling];
    if (before.parent !== null) this.put(this.nodes[child], before.parent, before);
  }
  insertTextBefore(sibling, text) {
    const before = this.nodes[sibling];
    if (before.parent !== null) this.putText(text, before.parent, before);
  }
  fosterParent(element, previous, child) {
    if (this.nodes[element].parent !== null) this.insertBefore(element, child);
    else this.append(previous, child);
  }
  fosterParentText(element, previous, text) {
    if (this.nodes[element].parent !== null) this.insertTextBefore(element, text);
    else this.appendText(previous, text);
  }

  // Insert an element at the adjusted insertion location: nothing if that is not possible.
  put(node, parent, before) {
    if (parent.type === DOCUMENT && node.type !== 8 && node.type !== 10 && childrenOf(parent).some((child) => child.type === node.type)) return;
    if (node.parent !== null) remove(node);
    if (node.document !== parent.document) adopt(node, parent.document);
    this.insert(node, parent, before);
  }

  // Insert a character.
  putText(text, parent, before) {
    if (parent.type === DOCUMENT) return;
    const previous = before === null ? parent.last : before.previous;
    if (previous !== null && isText(previous) && previous.type === TEXT) {
      previous.data += text;
      previous.document.version++;
    } else {
      this.insert(newText(parent.document, text), parent, before);
    }
  }

  doctype(name, publicId, systemId) { this.insert(newDocumentType(this.document, name, publicId, systemId), this.top, null); }

  addAttributes(id, attributes) {
    const element = this.nodes[id];
    const missing = [];
    for (let i = 0; i < attributes.length; i += 4) {
      if (attribute(element, attributes[i + 2]) === null) missing.push(...attributes.slice(i, i + 4));
    }
    this.addTo(element, missing);
    this.document.version++;
  }

  remove(id) {
    const node = this.nodes[id];
    if (node.parent !== null) remove(node);
  }
  reparent(from, to) { for (const child of childrenOf(this.nodes[from])) this.put(child, this.nodes[to], null); }
  quirks(mode) { if (this.top.type === DOCUMENT) this.document.mode = mode; }
  alreadyStarted(id) { ownOf(this.nodes[id]).alreadyStarted = true; }
  popped(id) { this.onPopped(this.nodes[id]); }
  form(element, form) { ownOf(this.nodes[element]).form = this.nodes[form]; }
}

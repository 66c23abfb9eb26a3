// DocumentFragment, DocumentType and DOMImplementation. (DOM.)

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { extractName, isDoctypeName } from "./attributes.js";
import { currentDocument } from "./home.js";
import { includeChildNode, includeNonElementParentNode, includeParentNode } from "./mixins.js";
import { append } from "./mutation.js";
import { DOCUMENT_TYPE, HTML, SVG, newDocument, newDocumentType, newElement, newFragment, newText, wrap } from "./nodes.js";
import { Node, nodeArgument, recordOf } from "./node.js";

export class DocumentFragment extends Node {
  constructor(...args) {
    if (args[0] === HOST) super(...args);
    else super(HOST, newFragment(currentDocument()));
  }
}
includeNonElementParentNode(DocumentFragment);
includeParentNode(DocumentFragment);
idl(DocumentFragment);

export class DocumentType extends Node {
  get name() { return recordOf(this).name; }
  get publicId() { return recordOf(this).publicId; }
  get systemId() { return recordOf(this).systemId; }
}
includeChildNode(DocumentType);
idl(DocumentType);

const documents = new WeakMap();

export class DOMImplementation {
  constructor(...args) {
    illegal(args[0]);
    documents.set(this, args[1]);
  }
  createDocumentType(name, publicId, systemId) {
    required(arguments.length, 3, "createDocumentType");
    name = DOMString(name);
    if (!isDoctypeName(name)) throw errorOf("InvalidCharacterError", `'${name}' is not a doctype's name`);
    return wrap(newDocumentType(documents.get(this), name, DOMString(publicId), DOMString(systemId)));
  }
  createDocument(namespace, name, doctype = null) {
    required(arguments.length, 2, "createDocument");
    const { home } = documents.get(this);
    namespace = namespace === null || namespace === "" ? null : DOMString(namespace);
    name = name === null ? "" : DOMString(name);
    const contentType = namespace === HTML ? "application/xhtml+xml" : namespace === SVG ? "image/svg+xml" : "application/xml";
    const document = newDocument({ isHtml: false, contentType, url: "about:blank", home });
    let element = null;
    if (name !== "") {
      const extracted = extractName(namespace, name, true);
      element = newElement(document, extracted.localName, extracted.namespace, extracted.prefix);
    }
    if (doctype !== null && doctype !== undefined) {
      const record = nodeArgument(doctype, "createDocument");
      if (record.type !== DOCUMENT_TYPE) throw new TypeError("createDocument: the doctype is none");
      append(record, document);
    }
    if (element !== null) append(element, document);
    return wrap(document);
  }
  createHTMLDocument(title = undefined) {
    const { home } = documents.get(this);
    const document = newDocument({ url: "about:blank", home });
    append(newDocumentType(document, "html", "", ""), document);
    const html = append(newElement(document, "html"), document);
    const head = append(newElement(document, "head"), html);
    if (title !== undefined) append(newText(document, DOMString(title)), append(newElement(document, "title"), head));
    append(newElement(document, "body"), html);
    return wrap(document);
  }
  hasFeature() { return true; }
}
idl(DOMImplementation);

// Which interface a node has, and the module of each interface: they are loaded when first used.

import { load } from "../webidl.js";
import {
  ATTRIBUTE, CDATA_SECTION, COMMENT, DOCUMENT, DOCUMENT_FRAGMENT, DOCUMENT_TYPE, ELEMENT, HTML, PROCESSING_INSTRUCTION, SVG, TEXT,
} from "./nodes.js";
import { ELEMENT_INTERFACES } from "./element_interfaces.js";
import { MODULES } from "./interface_names.js";

const byName = new Map();

// An interface by its name.
export function interfaceNamed(name) {
  let found = byName.get(name);
  if (found === undefined) {
    const file = MODULE_OF.get(name) ?? "dom/html_others.js";
    byName.set(name, found = load(file)[name]);
  }
  return found;
}

const MODULE_OF = new Map(Object.entries(MODULES).flatMap(([file, names]) => names.map((name) => [name, file])));

export function interfaceOf(record) {
  switch (record.type) {
    case ELEMENT: return interfaceNamed(elementInterface(record));
    case ATTRIBUTE: return interfaceNamed("Attr");
    case TEXT: return interfaceNamed("Text");
    case CDATA_SECTION: return interfaceNamed("CDATASection");
    case PROCESSING_INSTRUCTION: return interfaceNamed("ProcessingInstruction");
    case COMMENT: return interfaceNamed("Comment");
    case DOCUMENT: return interfaceNamed(record.isHtml || record.isShown ? "Document" : "XMLDocument");
    case DOCUMENT_TYPE: return interfaceNamed("DocumentType");
    case DOCUMENT_FRAGMENT: return interfaceNamed("DocumentFragment");
    default: throw new TypeError(`no interface of node type ${record.type}`);
  }
}

// The element interface for a name and namespace.
function elementInterface({ namespace, localName }) {
  if (namespace === HTML) {
    const name = ELEMENT_INTERFACES[localName];
    if (name !== undefined && Object.hasOwn(ELEMENT_INTERFACES, localName)) return name;
    // HTML, "element interface", steps 4 to 6.
    return /^[a-z][^A-Z]*-/.test(localName) ? "HTMLElement" : "HTMLUnknownElement";
  }
  if (namespace === SVG) return localName === "svg" ? "SVGSVGElement" : localName === "script" ? "SVGScriptElement" : "SVGElement";
  return "Element";
}

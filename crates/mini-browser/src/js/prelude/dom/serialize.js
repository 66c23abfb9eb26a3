// HTML, "serializing HTML fragments".

import { CDATA_SECTION, COMMENT, DOCUMENT_TYPE, ELEMENT, HTML, MATHML, PROCESSING_INSTRUCTION, SVG, TEXT, XLINK, XML, XMLNS, isHtml, qualifiedName } from "./nodes.js";

const VOID = new Set(["area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param", "source",
  "track", "wbr"]);
const RAW = new Set(["style", "script", "xmp", "iframe", "noembed", "noframes", "plaintext", "noscript"]);

// Escaping a string.
const escapeText = (text) => text.replace(/&/g, "&amp;").replace(/\u00a0/g, "&nbsp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const escapeAttribute = (text) => escapeText(text).replace(/"/g, "&quot;");

const isVoid = (record) => record.type === ELEMENT && record.namespace === HTML && VOID.has(record.localName);
const contentsOf = (record) => (isHtml(record, "template") ? record.own.content : record);

// The HTML fragment serialization algorithm: what is in a node. Without recursion, for deep trees.
export function serializeChildren(record) {
  if (isVoid(record)) return "";
  let text = "";
  // The ends of the elements that one is in, and where one goes on behind them.
  const open = [];
  let node = contentsOf(record).first;
  for (;;) {
    if (node === null) {
      const outer = open.pop();
      if (outer === undefined) return text;
      text += `</${tagName(outer)}>`;
      node = outer.next;
    } else if (node.type === ELEMENT) {
      text += startTag(node);
      if (isVoid(node)) {
        node = node.next;
      } else {
        open.push(node);
        node = contentsOf(node).first;
      }
    } else {
      text += serializeLeaf(node);
      node = node.next;
    }
  }
}

// One node, with what is in it.
export function serialize(record) {
  if (record.type !== ELEMENT) return record.first === null ? serializeLeaf(record) : serializeChildren(record);
  return isVoid(record) ? startTag(record) : `${startTag(record)}${serializeChildren(record)}</${tagName(record)}>`;
}

function tagName(element) {
  const { namespace } = element;
  return namespace === HTML || namespace === SVG || namespace === MATHML ? element.localName : qualifiedName(element);
}

function startTag(element) {
  let text = `<${tagName(element)}`;
  for (const attribute of element.attributes) text += ` ${attributeName(attribute)}="${escapeAttribute(attribute.value)}"`;
  return `${text}>`;
}

function serializeLeaf(record) {
  switch (record.type) {
    case TEXT:
    case CDATA_SECTION: {
      const { parent } = record;
      return parent !== null && parent.type === ELEMENT && parent.namespace === HTML && RAW.has(parent.localName) ? record.data : escapeText(record.data);
    }
    case COMMENT: return `<!--${record.data}-->`;
    case PROCESSING_INSTRUCTION: return `<?${record.target} ${record.data}>`;
    case DOCUMENT_TYPE: return `<!DOCTYPE ${record.name}>`;
    default: return "";
  }
}

// An attribute's serialized name.
function attributeName({ namespace, localName, prefix }) {
  switch (namespace) {
    case null: return localName;
    case XML: return `xml:${localName}`;
    case XMLNS: return localName === "xmlns" ? "xmlns" : `xmlns:${localName}`;
    case XLINK: return `xlink:${localName}`;
    default: return prefix === null ? localName : `${prefix}:${localName}`;
  }
}

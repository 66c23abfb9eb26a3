// HTML, "serializing HTML fragments".

import { CDATA_SECTION, COMMENT, DOCUMENT_TYPE, ELEMENT, HTML, MATHML, PROCESSING_INSTRUCTION, SVG, TEXT, XLINK, XML, XMLNS, isHtml, qualifiedName } from "./nodes.js";

const VOID = new Set(["area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param", "source",
  "track", "wbr"]);
const RAW = new Set(["style", "script", "xmp", "iframe", "noembed", "noframes", "plaintext", "noscript"]);

// Escaping a string.
const escapeText = (text) => text.replace(/&/g, "&amp;").replace(/\u00a0/g, "&nbsp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const escapeAttribute = (text) => escapeText(text).replace(/"/g, "&quot;");

// The HTML fragment serialization algorithm: what is in a node.
export function serializeChildren(record) {
  if (record.type === ELEMENT && record.namespace === HTML && VOID.has(record.localName)) return "";
  const parent = isHtml(record, "template") ? record.own.content : record;
  let text = "";
  for (let child = parent.first; child !== null; child = child.next) text += serialize(child);
  return text;
}

// One node, with what is in it.
export function serialize(record) {
  switch (record.type) {
    case ELEMENT: {
      const { namespace } = record;
      const name = namespace === HTML || namespace === SVG || namespace === MATHML ? record.localName : qualifiedName(record);
      let text = `<${name}`;
      for (const attribute of record.attributes) text += ` ${attributeName(attribute)}="${escapeAttribute(attribute.value)}"`;
      text += ">";
      if (namespace === HTML && VOID.has(record.localName)) return text;
      return `${text}${serializeChildren(record)}</${name}>`;
    }
    case TEXT:
    case CDATA_SECTION: {
      const { parent } = record;
      return parent !== null && parent.type === ELEMENT && parent.namespace === HTML && RAW.has(parent.localName) ? record.data : escapeText(record.data);
    }
    case COMMENT: return `<!--${record.data}-->`;
    case PROCESSING_INSTRUCTION: return `<?${record.target} ${record.data}>`;
    case DOCUMENT_TYPE: return `<!DOCTYPE ${record.name}>`;
    default: return serializeChildren(record);
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

// XML serialization. (DOM Parsing and Serialization.)

import { CDATA_SECTION, COMMENT, DOCUMENT_TYPE, ELEMENT, HTML, PROCESSING_INSTRUCTION, TEXT, XML, XMLNS, qualifiedName } from "./nodes.js";

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const escapeValue = (text) => escape(text).replace(/"/g, "&quot;").replace(/\t/g, "&#9;").replace(/\n/g, "&#10;").replace(/\r/g, "&#13;");

export function serializeXml(record, declared = new Map([["xml", XML]])) {
  switch (record.type) {
    case ELEMENT: return element(record, declared);
    case TEXT: return escape(record.data);
    case CDATA_SECTION: return `<![CDATA[${record.data}]]>`;
    case COMMENT: return `<!--${record.data}-->`;
    case PROCESSING_INSTRUCTION: return `<?${record.target} ${record.data}?>`;
    case DOCUMENT_TYPE: {
      const { name, publicId, systemId } = record;
      const ids = publicId !== "" ? ` PUBLIC "${publicId}"${systemId === "" ? "" : ` "${systemId}"`}` : systemId === "" ? "" : ` SYSTEM "${systemId}"`;
      return `<!DOCTYPE ${name}${ids}>`;
    }
    default: return children(record, declared);
  }
}

function children(record, declared) {
  let text = "";
  for (let child = record.first; child !== null; child = child.next) text += serializeXml(child, declared);
  return text;
}

// Prefixes to namespaces, with those that this element declares.
function element(record, outer) {
  const declared = new Map(outer);
  const name = qualifiedName(record);
  let text = `<${name}`;
  for (const { namespace, prefix, localName, value } of record.attributes) if (namespace === XMLNS) declared.set(prefix === null ? "" : localName, value === "" ? null : value);
  const own = record.prefix ?? "";
  if ((declared.get(own) ?? null) !== record.namespace && !record.attributes.some(({ namespace, prefix, localName }) => namespace === XMLNS && (prefix === null ? "" : localName) === own)) {
    declared.set(own, record.namespace);
    text += ` xmlns${own === "" ? "" : `:${own}`}="${escapeValue(record.namespace ?? "")}"`;
  }
  for (const attribute of record.attributes) {
    let { prefix } = attribute;
    if (attribute.namespace !== null && attribute.namespace !== XMLNS && declared.get(prefix ?? "") !== attribute.namespace) {
      prefix ??= `ns${declared.size}`;
      declared.set(prefix, attribute.namespace);
      text += ` xmlns:${prefix}="${escapeValue(attribute.namespace)}"`;
    }
    text += ` ${prefix === null ? attribute.localName : `${prefix}:${attribute.localName}`}="${escapeValue(attribute.value)}"`;
  }
  const content = children(record.localName === "template" && record.namespace === HTML ? record.own.content : record, declared);
  if (content === "" && !(record.namespace === HTML && !VOID.has(record.localName))) return `${text}${record.namespace === HTML ? " /" : "/"}>`;
  return `${text}>${content}</${name}>`;
}

const VOID = new Set(["area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param", "source",
  "track", "wbr"]);

// DOMParser and XMLSerializer. (HTML, "DOM parsing and serialization APIs".)

import { op_decode } from "ops";
import { DOMString, enumeration, errorOf, idl, required } from "../webidl.js";
import { currentDocument, home } from "./home.js";
import { DOCUMENT, newDocument, wrap } from "./nodes.js";
import { nodeArgument, recordIfNode } from "./node.js";
import { parseWhole } from "./parse_fragment.js";
import { serializeChildren } from "./serialize.js";
import { serializeXml } from "./serialize_xml.js";

export class DOMParser {
  parseFromString(string, type) {
    required(arguments.length, 2, "parseFromString");
    const text = DOMString(string);
    const contentType = enumeration(type, ["text/html", "text/xml", "application/xml", "application/xhtml+xml", "image/svg+xml"], "The type");
    // There is no XML parser.
    if (contentType !== "text/html") throw errorOf("NotSupportedError", `Documents of type ${contentType} are not offered`);
    const document = newDocument({ contentType, url: home.urlOf(currentDocument()), home });
    parseWhole(document, text);
    return wrap(document);
  }
}
idl(DOMParser);

export class XMLSerializer {
  serializeToString(root) {
    required(arguments.length, 1, "serializeToString");
    return serializeXml(nodeArgument(root, "serializeToString"));
  }
}
idl(XMLSerializer);

// For XMLHttpRequest: a document of a response; null if it cannot be parsed. (XMLHttpRequest, "set a document
// response".)
export function documentForResponse(bytes, charset, contentType, url) {
  if (contentType !== "text/html") return null;
  const document = newDocument({ contentType, url, home });
  parseWhole(document, op_decode(bytes, charset ?? "utf-8"));
  return wrap(document);
}

// For XMLHttpRequest: a Document as a body `{ text, type }`; null for anything else.
export function documentAsBody(value) {
  const record = recordIfNode(value);
  if (record === null || record.type !== DOCUMENT) return null;
  return record.isHtml
    ? { text: serializeChildren(record), type: "text/html;charset=UTF-8" }
    : { text: serializeXml(record), type: "application/xml;charset=UTF-8" };
}

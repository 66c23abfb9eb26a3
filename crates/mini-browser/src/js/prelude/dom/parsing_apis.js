// DOMParser and XMLSerializer. (HTML, "DOM parsing and serialization APIs".)

import { DOMString, enumeration, errorOf, idl, required } from "../webidl.js";
import { currentDocument, home } from "./home.js";
import { newDocument, wrap } from "./nodes.js";
import { nodeArgument } from "./node.js";
import { parseWhole } from "./parse_fragment.js";
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

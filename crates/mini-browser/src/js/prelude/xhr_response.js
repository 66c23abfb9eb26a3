// What XMLHttpRequest makes of a response. (XMLHttpRequest, "Response".)
//
// A result is `{ bytes, headers, hasBody, overrideMimeType, url }`.

import { op_load, op_package_text } from "ops";
import { utf8Decode } from "./encoding.js";
import { combined } from "./headers.js";
import { extractMimeType, serializeMimeType } from "./mime_type.js";
import { global, windowProxy } from "./realms.js";

// Workers have no documents.
const isWindow = windowProxy !== global;

// The response object of a response type other than text.
export function responseOf(type, result) {
  switch (type) {
    case "arraybuffer": return result.bytes.slice().buffer;
    case "blob": return op_load("blob.js").newBlob(result.bytes.slice(), serializeMimeType(finalMimeType(result)));
    case "document": return xmlOf(result, type);
    default: return result.hasBody ? jsonOf(result) : null;
  }
}

function jsonOf({ bytes }) {
  try {
    return JSON.parse(utf8Decode(bytes));
  } catch {
    // Set a JSON response, step 3: what is no JSON is null.
    return null;
  }
}

// Get a text response.
export function textOf(result, responseType) {
  if (!result.hasBody) return "";
  const labels = [finalCharset(result)].filter((label) => label !== null);
  if (responseType === "" && labels.length === 0 && isXml(finalMimeType(result))) {
    const declared = /^<\?xml[^>]*?encoding\s*=\s*["']([^"']+)["']/.exec(String.fromCharCode(...result.bytes.subarray(0, 512)));
    if (declared !== null) labels.push(declared[1]);
  }
  return op_package_text(result.bytes, labels);
}

// Set a document response. No document is made of XML.
export function xmlOf(result, responseType) {
  if (!result.hasBody) return null;
  const mimeType = finalMimeType(result);
  if (mimeType.essence !== "text/html" || responseType === "" || !isWindow) return null;
  const { parseWhole } = op_load("dom/parse_fragment.js");
  const { newDocument, wrap } = op_load("dom/nodes.js");
  const { home } = op_load("dom/home.js");
  const document = newDocument({ contentType: "text/html", url: result.url, home });
  parseWhole(document, op_package_text(result.bytes, [finalCharset(result)].filter((label) => label !== null)));
  return wrap(document);
}

const isXml = ({ essence }) => essence === "text/xml" || essence === "application/xml" || essence.endsWith("+xml");

// Get a response MIME type, and a final one.
function finalMimeType({ headers, overrideMimeType }) {
  return overrideMimeType ?? extractMimeType(headers) ?? { essence: "text/xml", parameters: new Map() };
}

// Get a final encoding: the label of it, or null.
function finalCharset({ headers, overrideMimeType }) {
  return overrideMimeType?.parameters.get("charset") ?? extractMimeType(headers)?.parameters.get("charset") ?? null;
}

// Extract a length from a header list: 0 if there is none, or several that differ. (Fetch.)
export function extractLength(headers) {
  const values = (combined(headers, "content-length") ?? "").split(",").map((value) => value.trim());
  const isOne = values.every((value) => value === values[0] && /^[0-9]+$/.test(value));
  return isOne ? Number(values[0]) : 0;
}

// getAllResponseHeaders(): in the order of their names in upper case.
export function headerText(headers) {
  const names = [...new Set(headers.map(([name]) => name.toUpperCase()))].sort();
  return names.map((name) => `${name.toLowerCase()}: ${combined(headers, name)}\r\n`).join("");
}

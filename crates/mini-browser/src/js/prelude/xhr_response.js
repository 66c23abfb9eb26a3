// What XMLHttpRequest makes of a response. (XMLHttpRequest, "Response".)

import { op_decode, op_load } from "ops";
import { combined } from "./headers.js";
import { extractMimeType, parseMimeType, serializeMimeType } from "./mime_type.js";
import { errorOf, load } from "./webidl.js";

const LOADING = 3, DONE = 4;

// A network error: `isError` tells it.
export const networkError = () => ({ isError: true, status: 0, statusText: "", headers: [], urlList: [] });

export function responseUrl({ response }) { return response.urlList.length === 0 ? "" : response.urlList.at(-1).replace(/#.*$/s, ""); }

// getAllResponseHeaders().
export function allHeaders(list) {
  const names = [...new Set(list.map(([name]) => name.toLowerCase()))];
  // Legacy-uppercased-byte less than.
  names.sort((a, b) => (a.toUpperCase() < b.toUpperCase() ? -1 : 1));
  return names.map((name) => `${name}: ${combined(list, name)}\r\n`).join("");
}

// All bytes that came up to now.
function bytesOf(xhr) {
  if (xhr.received.length !== 1) {
    const bytes = new Uint8Array(xhr.receivedLength);
    let at = 0;
    for (const chunk of xhr.received) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    xhr.received = [bytes];
  }
  return xhr.received[0];
}

// Get a response MIME type.
const responseMimeType = ({ response }) => extractMimeType(response.headers) ?? parseMimeType("text/xml");

// Get a final MIME type.
const finalMimeType = (xhr) => xhr.overrideMimeType ?? responseMimeType(xhr);

// Get a final encoding: a label, or null.
function finalEncoding(xhr) {
  const own = responseMimeType(xhr).parameters.get("charset") ?? null;
  const label = xhr.overrideMimeType?.parameters.get("charset") ?? own;
  return label !== null && op_load("encoding.js").isEncodingLabel(label) ? label : null;
}

const isXml = ({ essence }) => essence === "text/xml" || essence === "application/xml" || essence.endsWith("+xml");

// Get a text response.
export function responseText(xhr) {
  if (xhr.text?.length === xhr.receivedLength && xhr.text.of === xhr.response) return xhr.text.text;
  if (xhr.response.body === null || xhr.response.isError) return "";
  let charset = finalEncoding(xhr);
  const bytes = bytesOf(xhr);
  if (xhr.responseType === "" && charset === null && isXml(finalMimeType(xhr))) {
    const declared = /^<\?xml[^>]*?encoding=["']([A-Za-z][\w.-]*)["']/.exec(String.fromCharCode(...bytes.subarray(0, 128)));
    if (declared !== null && op_load("encoding.js").isEncodingLabel(declared[1])) [, charset] = declared;
  }
  const text = op_decode(bytes, charset ?? "utf-8");
  xhr.text = { text, length: xhr.receivedLength, of: xhr.response };
  return text;
}

// The `response` attribute.
export function responseObject(xhr) {
  // Step 1.
  if (xhr.responseType === "" || xhr.responseType === "text") return xhr.state === LOADING || xhr.state === DONE ? responseText(xhr) : "";
  // Steps 2 to 4.
  if (xhr.state !== DONE || xhr.responseObject === "failure") return null;
  if (xhr.responseObject !== null) return xhr.responseObject.value;
  // Steps 5 to 9.
  const value = makeResponseObject(xhr);
  xhr.responseObject = value === undefined ? "failure" : { value };
  if (value !== undefined) return value;
  return null;
}

// Undefined for a failure.
function makeResponseObject(xhr) {
  switch (xhr.responseType) {
    case "arraybuffer":
      return bytesOf(xhr).slice().buffer;
    case "blob": {
      const { newBlob } = op_load("blob.js");
      return newBlob(bytesOf(xhr).slice(), xhr.response.isError ? "" : serializeMimeType(finalMimeType(xhr)));
    }
    case "document":
      return documentOf(xhr) ?? undefined;
    default:
      if (xhr.response.body === null) return undefined;
      try {
        return JSON.parse(op_load("encoding.js").utf8Decode(bytesOf(xhr)));
      } catch {
        return undefined;
      }
  }
}

// Set a document response: a Document, or null.
function documentOf(xhr) {
  const mimeType = finalMimeType(xhr);
  const isHtml = mimeType.essence === "text/html";
  if (xhr.response.isError || xhr.response.body === null || (!isHtml && !isXml(mimeType))) return null;
  // Step 3.
  if (xhr.responseType === "" && isHtml) return null;
  const bytes = bytesOf(xhr);
  return load("dom/parsing_apis.js").documentForResponse(bytes, finalEncoding(xhr), isHtml ? "text/html" : mimeType.essence, responseUrl(xhr));
}

// The `responseXML` attribute.
export function responseXml(xhr) {
  if (xhr.responseType !== "" && xhr.responseType !== "document") throw errorOf("InvalidStateError", "responseXML: responseType is another");
  if (xhr.state !== DONE || xhr.responseObject === "failure") return null;
  if (xhr.responseObject !== null) return xhr.responseObject.value;
  const value = documentOf(xhr);
  xhr.responseObject = value === null ? "failure" : { value };
  return value;
}

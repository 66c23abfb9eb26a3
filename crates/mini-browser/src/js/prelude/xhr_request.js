// What XMLHttpRequest makes of what a script gives: the arguments of open() and send().

import { op_load, op_request_url, op_url_set } from "ops";
import { bodyInit, extract } from "./body.js";
import { brands } from "./brands.js";
import { combined } from "./headers.js";
import { parseMimeType, serializeMimeType } from "./mime_type.js";
import { global, windowProxy } from "./realms.js";
import { DOMString, errorOf } from "./webidl.js";

export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

// open(), steps 2 to 4.
export function openedMethod(method) {
  if (!TOKEN.test(method)) throw errorOf("SyntaxError", `open: ${JSON.stringify(method)} is not a method`);
  const upper = method.toUpperCase();
  if (["CONNECT", "TRACE", "TRACK"].includes(upper)) throw errorOf("SecurityError", `open: method ${method} is forbidden`);
  return ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].includes(upper) ? upper : method;
}

// open(), steps 5 to 8: the URL. The user name and the password are null if none was given.
export function openedUrl(url, username, password) {
  const parsed = op_request_url(url);
  if (parsed === null) throw errorOf("SyntaxError", `open: ${JSON.stringify(url)} is not a valid URL`);
  let { href } = parsed;
  const hasHost = /^(https?|ftp):/.test(href);
  if (username !== null && hasHost) href = op_url_set(href, "username", username).href;
  if (password !== null && hasHost) href = op_url_set(href, "password", password).href;
  return href;
}

// The argument of send(): null, what is made of a document, or a BodyInit. Streams are none here.
export function givenBody(body) {
  if (body === undefined || body === null) return null;
  return documentToSend(body) ?? bodyInit(brands.isReadableStream(body) ? DOMString(body) : body);
}

// send(), step 4: the body of what `givenBody` gave, whose type goes into the headers.
export function extractBody(given, headers) {
  const isText = typeof given === "string" || given.document !== undefined;
  const { body, type } = given.document === undefined ? extract(given) : { ...extract(given.document), type: given.type };
  const author = combined(headers, "content-type");
  if (author === null) {
    if (type !== null) headers.push(["Content-Type", type]);
  } else if (isText) {
    const mimeType = parseMimeType(author);
    const charset = mimeType?.parameters.get("charset");
    if (charset !== undefined && charset.toLowerCase() !== "utf-8") {
      mimeType.parameters.set("charset", "UTF-8");
      headers.find(([name]) => name.toLowerCase() === "content-type")[1] = serializeMimeType(mimeType);
    }
  }
  return body;
}

// What send() is given, if it is a Document: `{ document, type }`, with its markup; else null.
function documentToSend(value) {
  if (typeof value !== "object" || windowProxy === global) return null;
  const { DOCUMENT } = op_load("dom/nodes.js");
  const record = op_load("dom/node.js").recordIfNode(value);
  if (record === null || record.type !== DOCUMENT) return null;
  const markup = record.isHtml ? op_load("dom/serialize.js").serializeChildren(record) : op_load("dom/serialize_xml.js").serializeXml(record);
  return { document: markup.toWellFormed(), type: `${record.isHtml ? "text/html" : "application/xml"};charset=UTF-8` };
}

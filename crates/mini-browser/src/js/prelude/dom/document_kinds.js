// What a resource becomes when it is navigated to, by its type. (HTML, "Loading a document"; MIME Sniffing.)

import { op_console } from "ops";
import { lowercase, setValue } from "./attributes.js";
import { append } from "./mutation.js";
import { newElement, newText } from "./nodes.js";

// "html", "text", "image", "media" or "xml"; null for what is not shown.
export function kindOf(contentType, bytes) {
  const essence = essenceOf(contentType) || sniff(bytes);
  if (essence === "text/html") return "html";
  if (essence === "application/xml" || essence === "text/xml" || essence.endsWith("+xml")) return essence === "image/svg+xml" ? "image" : "xml";
  if (essence.startsWith("image/")) return "image";
  if (essence.startsWith("audio/") || essence.startsWith("video/")) return "media";
  if (essence.startsWith("text/") || essence.endsWith("json") || essence.endsWith("javascript")) return "text";
  return null;
}

export const essenceOf = (contentType) => lowercase(contentType.split(";")[0].trim());
export const charsetOf = (contentType) => /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1] ?? null;

// Rules for identifying an unknown MIME type, as far as documents go.
function sniff(bytes) {
  // Nothing at all is taken for HTML, as browsers do.
  if (bytes.length === 0) return "text/html";
  let start = "";
  for (const byte of bytes.subarray(0, 512)) start += String.fromCharCode(byte);
  if (/^\s*<(!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--)[\s>]/i.test(start)) return "text/html";
  if (/^\s*<\?xml/.test(start)) return "text/xml";
  return /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/.test(start) ? "application/octet-stream" : "text/plain";
}

// Fills a document that is not HTML by itself: a viewer of its resource.
export function fillViewer(document, kind, url, text) {
  const html = append(newElement(document, "html"), document);
  append(newElement(document, "head"), html);
  const body = append(newElement(document, "body"), html);
  const shown = { image: "img", media: "video" }[kind] ?? "pre";
  const element = newElement(document, shown);
  if (shown === "pre") append(newText(document, text), element);
  else setValue(element, "src", url);
  append(element, body);
  if (kind === "xml") op_console("error", `${url}: XML documents are not offered; it is shown as text`);
}

// Bodies of forms. (HTML, "multipart/form-data encoding algorithm"; Fetch, "formData()", "multipart/form-data
// parser".)

import { op_form_parse, op_load, op_multipart_parse, op_random, op_utf8_encode } from "ops";
import { blobBytes, isBlob } from "./blob.js";
import { utf8Decode } from "./encoding.js";
import { call } from "./webidl.js";

const newlines = (string) => string.replace(/\r\n?|\n/g, "\r\n");
const escape = (name) => name.replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/"/g, "%22");

// Encodes entries: `{ bytes, boundary }`.
export function encodeMultipart(list) {
  const random = Array.from(op_random(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const boundary = `----formdata-${random}`;
  const pieces = [];
  for (const [name, value] of list) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(newlines(name))}"`;
    if (isBlob(value)) {
      pieces.push(op_utf8_encode(`${head}; filename="${escape(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}\r\n\r\n`));
      pieces.push(blobBytes(value), op_utf8_encode("\r\n"));
    } else {
      pieces.push(op_utf8_encode(`${head}\r\n\r\n${newlines(value)}\r\n`));
    }
  }
  pieces.push(op_utf8_encode(`--${boundary}--\r\n`));
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return { bytes, boundary };
}

// What formData() makes of a body; throws a TypeError.
export function formDataOf(bytes, mimeType) {
  const { newFormData } = op_load("form_data.js");
  if (mimeType?.essence === "application/x-www-form-urlencoded") return newFormData(op_form_parse(utf8Decode(bytes)));
  if (mimeType?.essence !== "multipart/form-data") throw new TypeError("formData: the body is no form");
  const boundary = mimeType.parameters.get("boundary");
  if (boundary === undefined) throw new TypeError("formData: the MIME type has no boundary");
  const { newFile } = op_load("file.js");
  return newFormData(call(op_multipart_parse, bytes, boundary).map(({ name, filename, type, start, end }) => {
    const part = bytes.slice(start, end);
    return [name, filename === null ? utf8DecodeWithBom(part) : newFile(part, type ?? "text/plain", filename)];
  }));
}

// *UTF-8 decode without BOM*.
function utf8DecodeWithBom(bytes) {
  const { TextDecoder } = op_load("encoding.js");
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

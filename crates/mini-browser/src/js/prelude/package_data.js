// What a read operation makes of the bytes of a Blob. (File API, "package data".)

import { op_base64, op_package_text } from "ops";
import { parseMimeType } from "./mime_type.js";

// `bytes` are not used by anybody else afterwards.
export function packageData(bytes, type, mimeType, encodingName = null) {
  switch (type) {
    case "ArrayBuffer": return bytes.buffer.byteLength === bytes.byteLength ? bytes.buffer : bytes.slice().buffer;
    case "BinaryString": return binaryString(bytes);
    case "DataURL": return `data:${mimeType === "" ? "application/octet-stream" : mimeType};base64,${op_base64(bytes)}`;
    // The encoding of that name, else of the type's charset parameter, else UTF-8; a byte order mark overrides it.
    default: return op_package_text(bytes, [encodingName, charsetOf(mimeType), "utf-8"].filter((label) => label !== null));
  }
}

// The charset parameter of a MIME type, or null.
function charsetOf(mimeType) {
  return parseMimeType(mimeType)?.parameters.get("charset") ?? null;
}

function binaryString(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 4096) pieces.push(String.fromCharCode(...bytes.subarray(at, at + 4096)));
  return pieces.join("");
}

// FileReaderSync. (File API, "Reading on Threads".)

import { blobBytes, isBlob } from "./blob.js";
import { packageData } from "./package_data.js";
import { DOMString, idl, required } from "./webidl.js";

let brand;

export class FileReaderSync {
  #brand = true;

  readAsArrayBuffer(blob) { return read(this, arguments, "ArrayBuffer"); }
  readAsBinaryString(blob) { return read(this, arguments, "BinaryString"); }
  readAsText(blob, encoding = undefined) { return read(this, arguments, "Text", encoding); }
  readAsDataURL(blob) { return read(this, arguments, "DataURL"); }

  static { brand = (reader) => reader.#brand; }
}
idl(FileReaderSync);

function read(reader, { 0: blob, length }, type, encoding = undefined) {
  brand(reader);
  required(length, 1, `readAs${type}`);
  if (!isBlob(blob)) throw new TypeError("FileReaderSync: the argument is not a Blob");
  const encodingName = encoding === undefined ? null : DOMString(encoding);
  return packageData(blobBytes(blob).slice(), type, blob.type, encodingName);
}

// File and FileList. (File API, "The File Interface", "The FileList Interface".)

import { Blob, blobBytes, blobPropertyBag, convertBlobParts, processBlobParts, typeString } from "./blob.js";
import { serializable } from "./serializable.js";
import { HOST, USVString, dictionary, idl, illegal, longLong, required } from "./webidl.js";

let isOne;

export class File extends Blob {
  #name;
  #lastModified;

  constructor(fileBits, fileName, options = {}) {
    if (fileBits === HOST) {
      super(HOST, fileName);
      this.#name = fileName.name;
      this.#lastModified = fileName.lastModified;
      return;
    }
    required(arguments.length, 2, "File");
    const parts = convertBlobParts(fileBits, "The bits of a File");
    const name = USVString(fileName);
    const bag = dictionary(options, "The options of a File");
    const { endings, type } = blobPropertyBag(bag);
    const { lastModified } = bag;
    const modified = lastModified === undefined ? Date.now() : longLong(lastModified);
    // Steps 1 to 4.
    super(HOST, { bytes: processBlobParts(parts, endings), type: typeString(type) });
    this.#name = name;
    this.#lastModified = modified;
  }

  get name() { return this.#name; }
  get lastModified() { return this.#lastModified; }

  static { isOne = (value) => typeof value === "object" && value !== null && #name in value; }
}
idl(File);
Object.defineProperty(File, "length", { value: 2, configurable: true });

// Whether a value is a File.
export const isFile = isOne;

// A File over bytes that nobody writes to any more.
export function newFile(bytes, type, name, lastModified = Date.now()) {
  return new File(HOST, { bytes, type, name, lastModified });
}

serializable(File, "File", {
  is: isFile,
  serialize: (file) => ({ bytes: blobBytes(file).slice(), type: file.type, name: file.name, lastModified: file.lastModified }),
  deserialize: ({ bytes, type, name, lastModified }) => newFile(bytes, type, name, lastModified),
});

let filesOf;
let isList;

export class FileList {
  #files;

  constructor(token, files) {
    illegal(token);
    this.#files = files;
    // Supported property indices.
    files.forEach((value, index) => Object.defineProperty(this, index, { value, enumerable: true, configurable: true }));
  }

  get length() { return this.#files.length; }
  item(index) {
    required(arguments.length, 1, "item");
    return this.#files[index >>> 0] ?? null;
  }

  static {
    filesOf = (list) => list.#files;
    isList = (value) => typeof value === "object" && value !== null && #files in value;
  }
}
idl(FileList);
Object.defineProperty(FileList, "length", { value: 0, configurable: true });
Object.defineProperty(FileList.prototype, Symbol.iterator, { value: Array.prototype[Symbol.iterator], writable: true, configurable: true });

// A FileList of these Files. Host only.
export function newFileList(files) { return new FileList(HOST, [...files]); }

serializable(FileList, "FileList", {
  is: isList,
  // Sub-serializations of the files.
  serialize: (list) => filesOf(list),
  deserialize: (files) => newFileList(files),
});

// FormData. (XMLHttpRequest, "Interface FormData".)

import { op_has, op_load, op_set_hook } from "ops";
import { blobBytes, isBlob } from "./blob.js";
import { brands, foreign } from "./brands.js";
import { isFile, newFile } from "./file.js";
import { HOST, USVString, idl, pairIterable, required } from "./webidl.js";

let listOf;

export class FormData {
  // Pairs of a name and a string or File.
  #list = [];

  constructor(form = undefined, submitter = null) {
    if (form === HOST) {
      this.#list = submitter;
      return;
    }
    if (form !== undefined) this.#list = entriesOfForm(form, submitter);
  }

  append(name, value, filename = undefined) {
    required(arguments.length, 2, "append");
    this.#list.push(entry(name, value, filename, arguments.length));
  }
  delete(name) {
    required(arguments.length, 1, "delete");
    name = USVString(name);
    this.#list = this.#list.filter(([other]) => other !== name);
  }
  get(name) {
    required(arguments.length, 1, "get");
    name = USVString(name);
    return this.#list.find(([other]) => other === name)?.[1] ?? null;
  }
  getAll(name) {
    required(arguments.length, 1, "getAll");
    name = USVString(name);
    return this.#list.filter(([other]) => other === name).map(([, value]) => value);
  }
  has(name) {
    required(arguments.length, 1, "has");
    name = USVString(name);
    return this.#list.some(([other]) => other === name);
  }
  set(name, value, filename = undefined) {
    required(arguments.length, 2, "set");
    const added = entry(name, value, filename, arguments.length);
    const first = this.#list.findIndex(([other]) => other === added[0]);
    if (first < 0) {
      this.#list.push(added);
      return;
    }
    this.#list[first] = added;
    this.#list = this.#list.filter(([other], at) => at <= first || other !== added[0]);
  }

  static {
    const isOwn = (value) => typeof value === "object" && value !== null && #list in value;
    listOf = (data) => (isOwn(data) ? data.#list : entriesElsewhere(data));
    brands.isFormData = (value) => isOwn(value) || foreign("form data entries", value) !== null;
    op_set_hook("form data entries", (value) => (isOwn(value) ? value.#list : null));
  }
}
pairIterable(FormData, (data) => listOf(data));
idl(FormData);
Object.defineProperty(FormData, "length", { value: 0, configurable: true });

// The entries of a FormData of another realm.
function entriesElsewhere(value) {
  const list = foreign("form data entries", value);
  if (list === null) throw new TypeError("The value is not a FormData");
  return list;
}

// The entry list of a FormData.
export const entryList = (data) => listOf(data);

// A FormData of these entries. Host only.
export const newFormData = (list) => new FormData(HOST, list);

// The overloads of append and set, and HTML, "create an entry".
function entry(name, value, filename, given) {
  const isFileLike = given > 2 || isBlob(value);
  if (isFileLike && !isBlob(value)) throw new TypeError("FormData: a value with a file name is not a Blob");
  name = USVString(name);
  if (!isFileLike) return [name, USVString(value)];
  const fileName = filename === undefined ? (isFile(value) ? value.name : "blob") : USVString(filename);
  if (isFile(value) && filename === undefined) return [name, value];
  return [name, newFile(blobBytes(value), value.type, fileName, isFile(value) ? value.lastModified : undefined)];
}

// Constructor, step 1.
function entriesOfForm(form, submitter) {
  const forms = op_has("dom/forms.js") ? op_load("dom/forms.js") : {};
  if (forms.isForm?.(form) !== true) throw new TypeError("FormData: the argument is not a form");
  return forms.constructEntryList(form, submitter ?? null);
}

// The multipart/form-data encoding algorithm: `{ bytes, boundary }`. (HTML, "Multipart form data".)
export function encodeMultipart(list) {
  const { randomUUID } = op_load("crypto.js");
  const boundary = `----formdata-${randomUUID()}`;
  const escape = (text) => text.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
  const lines = (text) => text.replace(/\r\n?|\n/g, "\r\n");
  const { utf8Encode } = op_load("encoding.js");
  const pieces = [];
  for (const [name, value] of list) {
    const disposition = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(lines(name))}"`;
    if (typeof value === "string") {
      pieces.push(utf8Encode(`${disposition}\r\n\r\n${lines(value)}\r\n`));
    } else {
      const type = value.type === "" ? "application/octet-stream" : value.type;
      pieces.push(utf8Encode(`${disposition}; filename="${escape(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`));
      pieces.push(blobBytes(value), utf8Encode("\r\n"));
    }
  }
  pieces.push(utf8Encode(`--${boundary}--\r\n`));
  return { bytes: concatenate(pieces), boundary };
}

function concatenate(pieces) {
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

// The multipart/form-data parser: an entry list, or null for a failure. (Fetch, "multipart/form-data parser".)
export function parseMultipart(bytes, boundary) {
  const { utf8Decode, utf8DecodeWithoutBOM, utf8Encode } = op_load("encoding.js");
  const delimiter = utf8Encode(`--${boundary}`);
  const list = [];
  let at = 0;
  for (;;) {
    // Steps 5.1 to 5.3: the delimiter, then the end or a line break.
    if (!startsWith(bytes, delimiter, at)) return null;
    at += delimiter.length;
    if (startsWith(bytes, DASHES, at)) return list;
    if (!startsWith(bytes, CRLF, at)) return null;
    at += 2;
    // Step 5.4: the headers of the part.
    const headersEnd = startsWith(bytes, CRLF, at) ? at : indexOf(bytes, BLANK_LINE, at);
    if (headersEnd < 0) return null;
    const headers = parsePartHeaders(utf8DecodeWithoutBOM(bytes.subarray(at, headersEnd)));
    if (headers === null) return null;
    at = headersEnd + (headersEnd === at ? 2 : 4);
    // Steps 5.6 to 5.8: the body, up to a line break before the next delimiter.
    const bodyEnd = endOfBody(bytes, delimiter, at);
    if (bodyEnd < 0) return null;
    const body = bytes.subarray(at, bodyEnd);
    at = bodyEnd + 2;
    // Steps 5.9 to 5.11.
    const { name, filename, type } = headers;
    list.push([name, filename === null ? utf8Decode(body) : newFile(body.slice(), type ?? "text/plain", filename)]);
  }
}

const CRLF = Uint8Array.of(13, 10);
const BLANK_LINE = Uint8Array.of(13, 10, 13, 10);
const DASHES = Uint8Array.of(45, 45);

// Parse multipart/form-data headers.
function parsePartHeaders(text) {
  let name = null;
  let filename = null;
  let type = null;
  for (const line of text === "" ? [] : text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon < 1 || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+[\t ]*$/.test(line.slice(0, colon))) return null;
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, "");
    switch (line.slice(0, colon).trim().toLowerCase()) {
      case "content-disposition": {
        const match = /^form-data;[\t ]*name="([^"\r\n]*)"(?:;[\t ]*filename="([^"\r\n]*)")?/i.exec(value);
        if (match === null) return null;
        name = unescape(match[1]);
        filename = match[2] === undefined ? null : unescape(match[2]);
        break;
      }
      case "content-type":
        type = value;
        break;
    }
  }
  return name === null ? null : { name, filename, type };
}

// Parse a multipart/form-data name.
function unescape(text) { return text.replace(/%0A/g, "\n").replace(/%0D/g, "\r").replace(/%22/g, '"'); }

function endOfBody(bytes, delimiter, from) {
  for (let at = indexOf(bytes, CRLF, from); at >= 0; at = indexOf(bytes, CRLF, at + 1)) {
    if (startsWith(bytes, delimiter, at + 2)) return at;
  }
  return -1;
}

function startsWith(bytes, prefix, at) {
  return prefix.every((byte, index) => bytes[at + index] === byte);
}

function indexOf(bytes, wanted, from) {
  for (let at = bytes.indexOf(wanted[0], from); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    if (startsWith(bytes, wanted, at)) return at;
  }
  return -1;
}

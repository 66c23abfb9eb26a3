// FormData. (XMLHttpRequest, "Interface FormData".)

import { blobBytes, isBlob } from "./blob.js";
import { bodyOf } from "./body.js";
import { addBodyType } from "./body_types.js";
import { isFile, newFile } from "./file.js";
import { encodeMultipart } from "./multipart.js";
import { pairIterable } from "./pair_iterable.js";
import { USVString, idl, load, required } from "./webidl.js";

let listOf, isOne, adopt;

export class FormData {
  // [name, value] pairs: a value is a string or a File.
  #list = [];

  constructor(form = undefined, submitter = null) {
    if (form === undefined) return;
    this.#list = load("dom/form_submission.js").entriesFor(form, submitter).map(([name, value]) => [name, value]);
  }

  append(name, value, filename = undefined) {
    const list = this.#list;
    required(arguments.length, 2, "append");
    list.push(entry("append", name, value, filename, arguments.length));
  }
  delete(name) {
    const list = this.#list;
    required(arguments.length, 1, "delete");
    name = USVString(name);
    this.#list = list.filter((pair) => pair[0] !== name);
  }
  get(name) {
    const list = this.#list;
    required(arguments.length, 1, "get");
    name = USVString(name);
    return list.find((pair) => pair[0] === name)?.[1] ?? null;
  }
  getAll(name) {
    const list = this.#list;
    required(arguments.length, 1, "getAll");
    name = USVString(name);
    return list.filter((pair) => pair[0] === name).map((pair) => pair[1]);
  }
  has(name) {
    const list = this.#list;
    required(arguments.length, 1, "has");
    name = USVString(name);
    return list.some((pair) => pair[0] === name);
  }
  set(name, value, filename = undefined) {
    const list = this.#list;
    required(arguments.length, 2, "set");
    const added = entry("set", name, value, filename, arguments.length);
    const first = list.findIndex((pair) => pair[0] === added[0]);
    if (first < 0) {
      list.push(added);
      return;
    }
    list[first] = added;
    this.#list = list.filter((pair, at) => at <= first || pair[0] !== added[0]);
  }

  static {
    listOf = (data) => data.#list;
    isOne = (value) => #list in value;
    adopt = (list) => {
      const data = new FormData();
      data.#list = list;
      return data;
    };
  }
}
pairIterable(FormData, "FormData", (data) => listOf(data));
idl(FormData);

// A FormData of these entries.
export const newFormData = (list) => adopt(list);

export const isFormData = (value) => typeof value === "object" && value !== null && isOne(value);
export const entriesOf = (data) => listOf(data);

// The overloads (name, USVString value) and (name, Blob value, optional filename), and *create an entry*.
function entry(what, name, value, filename, given) {
  name = USVString(name);
  if (!isBlob(value)) {
    if (given > 2) throw new TypeError(`${what}: with a filename, the value must be a Blob`);
    return [name, USVString(value)];
  }
  if (isFile(value) && filename === undefined) return [name, value];
  const fileName = filename === undefined ? "blob" : USVString(filename);
  const lastModified = isFile(value) ? value.lastModified : undefined;
  return [name, newFile(blobBytes(value), value.type, fileName, lastModified)];
}

// Fetch, "extract", for FormData.
addBodyType({
  is: isOne,
  extract(data) {
    const { bytes, boundary } = encodeMultipart(listOf(data));
    return { body: bodyOf(bytes), type: `multipart/form-data; boundary=${boundary}` };
  },
});

// Platform objects that structured cloning can copy or move. (HTML, "Serializable objects" and
// "Transferable objects".)

import { op_has, op_load, op_set_hook } from "ops";
import { errorOf, isInterfacePrototype } from "./webidl.js";

// Where the classes of tags are, for a realm that has not used them yet. Which may be cloned in a realm
// that does not expose them: none.
const FILES = {
  __proto__: null,
  DOMException: "dom_exception.js", QuotaExceededError: "dom_exception.js",
  Blob: "blob.js", File: "file.js", FileList: "file.js",
  CryptoKey: "crypto.js",
  ReadableStream: "streams/readable_stream.js", WritableStream: "streams/writable_stream.js", TransformStream: "streams/transform_stream.js",
  MessagePort: "message_port_class.js",
  ImageData: "dom/image_data.js", ImageBitmap: "dom/image_data.js",
};

// In the order of their definition, so that subclasses come after what they extend.
const serializables = [];
const transferables = [];

// Makes `Class` serializable. `serialize(value, forStorage)` gives data that can be cloned themselves,
// `deserialize(data)` a new object of this realm. `is(value)` tells whether a value is such an object;
// it should look at a private element (`(value) => #x in value`), which no script can forge.
export function serializable(Class, tag, { is = inheriting(Class), serialize, deserialize }) {
  serializables.push({ tag, is, serialize, deserialize });
}

// Makes `Class` transferable. `detached(value)` tells whether it cannot be transferred any more.
// `transfer(value)` detaches it and gives data; a MessagePort in them is transferred with them.
// `receive(data)` gives the object that takes its place in this realm.
export function transferable(Class, tag, { is = inheriting(Class), detached, transfer, receive }) {
  transferables.push({ tag, is, detached, transfer, receive });
}

function inheriting({ prototype }) {
  const { isPrototypeOf } = Object.prototype;
  return (value) => Reflect.apply(isPrototypeOf, prototype, [value]);
}

function find(list, value) {
  for (let i = list.length - 1; i >= 0; i--) {
    if (list[i].is(value)) return list[i];
  }
  return undefined;
}

function named(list, tag) {
  for (let i = list.length - 1; i >= 0; i--) {
    if (list[i].tag === tag) return list[i];
  }
  return undefined;
}

function known(list, tag) {
  if (named(list, tag) === undefined && FILES[tag] !== undefined && op_has(FILES[tag])) op_load(FILES[tag]);
  const entry = named(list, tag);
  if (entry === undefined) throw errorOf("DataCloneError", `A ${tag} is not known here`);
  return entry;
}

const { getPrototypeOf } = Object;

// `[tag, data]` for a serializable object, null for another platform object, else undefined.
op_set_hook("platform serialize", (value, forStorage) => {
  const entry = find(serializables, value);
  if (entry !== undefined) return [entry.tag, entry.serialize(value, forStorage)];
  for (let next = getPrototypeOf(value); next !== null; next = getPrototypeOf(next)) {
    if (isInterfacePrototype(next)) return null;
  }
  return undefined;
});

op_set_hook("platform deserialize", (tag, data) => known(serializables, tag).deserialize(data));

// The tag of a transferable object, or undefined.
op_set_hook("transferable", (value) => find(transferables, value)?.tag);

// The data of one that is transferred, or undefined if it is detached.
op_set_hook("transfer", (value, tag) => {
  const { detached, transfer } = named(transferables, tag);
  return detached(value) ? undefined : transfer(value);
});

op_set_hook("receive", (tag, data) => known(transferables, tag).receive(data));

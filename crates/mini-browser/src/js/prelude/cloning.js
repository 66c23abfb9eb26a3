// What window.postMessage() and history take from structured cloning, which is loaded when it is used.

import { op_has, op_load } from "ops";
import { Event } from "./events.js";
import { errorOf } from "./webidl.js";

const clone = () => op_load("structured_clone.js");
const hasClone = op_has("structured_clone.js");

// StructuredSerializeWithTransfer.
export function serialize(message, transfer) {
  if (hasClone) return clone().serializeMessage(message, transfer.length > 0 ? transfer : undefined);
  if (transfer.length > 0) throw errorOf("DataCloneError", "Nothing can be transferred yet");
  return { text: text(message) };
}

// StructuredDeserializeWithTransfer: `{ data, transferred }`.
export function deserialize(record) {
  if (hasClone) return clone().deserializeMessage(record);
  return { data: record.text === undefined ? undefined : JSON.parse(record.text), transferred: [] };
}

// Nobody will deserialize it.
export function drop(record) { if (hasClone) clone().dropMessage(record); }

// A MessageEvent of the browser's.
export function messageEvent(type, data, origin, source, transferred) {
  if (!hasClone) {
    const event = new Event(type);
    for (const [name, value] of Object.entries({ data, origin, source, ports: Object.freeze([]), lastEventId: "" })) {
      Object.defineProperty(event, name, { value, enumerable: true, configurable: true });
    }
    return event;
  }
  const { newMessageEvent } = op_load("message_event.js");
  const { MessagePort } = transferred.length > 0 ? op_load("message_port_class.js") : {};
  return newMessageEvent(type, data, origin, source, transferred.filter((item) => item instanceof MessagePort));
}

function text(value) {
  try {
    if (typeof value === "function" || typeof value === "symbol") throw new TypeError("it is a function or a symbol");
    return JSON.stringify(value);
  } catch (error) {
    throw errorOf("DataCloneError", String(error?.message));
  }
}

// StructuredSerializeForStorage to a string, and back.
export function serializeToString(value) {
  if (!hasClone) return text(value) ?? "undefined";
  return Array.from(clone().structuredSerializeForStorage(value), (byte) => String.fromCharCode(byte)).join("");
}

export function deserializeFromString(string) {
  if (!hasClone) return string === "undefined" ? undefined : JSON.parse(string);
  return clone().structuredDeserialize(Uint8Array.from(string, (character) => character.charCodeAt(0)));
}

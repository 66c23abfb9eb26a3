// structuredClone, and what postMessage is made of. (HTML, "Safe passing of structured data".)

import {
  op_load, op_message_deserialize, op_message_drop, op_message_serialize, op_set_hook, op_structured_clone, op_structured_deserialize,
  op_structured_serialize,
} from "ops";
import { unproxied } from "./realms.js";
import "./serializable.js";
import { dictionary, errorOf, required, sequence } from "./webidl.js";

op_set_hook("data clone error", (message) => errorOf("DataCloneError", message));
op_set_hook("negate", (bigint) => -bigint);

// structuredClone(value, options): in the realm of the global that it is called on.
export function structuredClone(value, options = undefined) {
  required(arguments.length, 1, "structuredClone");
  const { transfer } = dictionary(options, "The options of structuredClone");
  return op_structured_clone(value, transfer === undefined ? undefined : objects(transfer), this === undefined || this === null ? null : unproxied(this));
}

const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

// sequence<object>.
function objects(transfer) {
  return sequence(transfer, (item) => {
    if (!isObject(item)) throw new TypeError("The transfer list holds something that is not an object");
    return item;
  }, "The transfer list");
}

// The second argument of postMessage, which is a sequence<object> or a StructuredSerializeOptions: the
// transfer list, or undefined if it is empty.
export function transferList(given) {
  if (given === undefined || given === null) return undefined;
  if (isObject(given)) {
    const method = given[Symbol.iterator];
    if (method !== undefined && method !== null) return objects(given);
  }
  const { transfer } = dictionary(given, "The options of postMessage");
  return transfer === undefined ? undefined : objects(transfer);
}

// StructuredSerializeWithTransfer: a number for the message, which any realm of this agent may receive
// once. Throws a DataCloneError, or what a getter threw.
export const serializeMessage = (value, transfer) => op_message_serialize(value, transfer);

// StructuredDeserializeWithTransfer, in this realm: `{ data, transferred }`. Throws if the message cannot
// be read here: a `messageerror`.
export function deserializeMessage(message) {
  const [data, ...transferred] = op_message_deserialize(message);
  return { data, transferred };
}

// The MessagePort objects among what was transferred, in their order.
export const portsAmong = (transferred) => (transferred.length === 0 ? [] : transferred.filter(op_load("message_port_class.js").isMessagePort));

// Nobody will receive the message.
export const dropMessage = (message) => op_message_drop(message);

// StructuredSerialize and StructuredDeserialize: a Uint8Array, and the value again.
export const structuredSerialize = (value) => op_structured_serialize(value, false);
export const structuredSerializeForStorage = (value) => op_structured_serialize(value, true);
export const structuredDeserialize = (record) => op_structured_deserialize(record);

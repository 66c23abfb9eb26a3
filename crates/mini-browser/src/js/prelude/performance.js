// performance.now and the small part of crypto. (High Resolution Time; Web Cryptography.)

import { op_now, op_random } from "ops";
import { HOST, call, errorOf, idl, illegal, required } from "./webidl.js";

const timeOrigin = Date.now() - op_now();

export class Performance {
  constructor(token) { illegal(token); }
  get timeOrigin() { return timeOrigin; }
  now() { return op_now(); }
  toJSON() { return { timeOrigin }; }
}
idl(Performance);
export const performance = new Performance(HOST);

const INTEGERS = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array, BigUint64Array];

export class Crypto {
  constructor(token) { illegal(token); }
  getRandomValues(array) {
    required(arguments.length, 1, "getRandomValues");
    if (!INTEGERS.some((Class) => array instanceof Class)) {
      throw errorOf("TypeMismatchError", "getRandomValues: the argument is not an integer typed array");
    }
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(call(op_random, array.byteLength));
    return array;
  }
  randomUUID() { return randomUUID(); }
}
idl(Crypto);
// Generate a random UUID.
export function randomUUID() {
  const bytes = call(op_random, 16);
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export const crypto = new Crypto(HOST);

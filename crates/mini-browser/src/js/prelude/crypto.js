// Crypto and the digests of SubtleCrypto. (Web Cryptography, "Crypto interface", "SubtleCrypto interface".)

import { op_digest, op_facts, op_random } from "ops";
import { bufferOf, byteLengthOf, byteOffsetOf, copyOfBytes, isBufferSource, typedArrayName } from "./buffers.js";
import { promising, resolvedWith } from "./promises.js";
import { DOMString, HOST, call, errorOf, idl, illegal, required } from "./webidl.js";

const INTEGERS = ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"];
const { set } = Uint8Array.prototype;

export class Crypto {
  #subtle = null;
  constructor(token) { illegal(token); }
  getRandomValues(array) {
    this.#subtle;
    required(arguments.length, 1, "getRandomValues");
    if (!ArrayBuffer.isView(array)) throw new TypeError("getRandomValues: the argument is not a view on a buffer");
    // Step 1.
    if (!INTEGERS.includes(typedArrayName(array))) throw errorOf("TypeMismatchError", "getRandomValues: the argument is not an integer typed array");
    // Steps 2 and 3.
    const byteLength = byteLengthOf(array);
    const bytes = call(op_random, byteLength);
    Reflect.apply(set, new Uint8Array(bufferOf(array), byteOffsetOf(array), byteLength), [bytes]);
    return array;
  }
  randomUUID() {
    this.#subtle;
    return randomUUID();
  }
  get subtle() { return (this.#subtle ??= new SubtleCrypto(HOST)); }
}
idl(Crypto);
Object.defineProperty(Crypto, "length", { value: 0, configurable: true });

// *Generate a random UUID*.
export function randomUUID() {
  const bytes = call(op_random, 16);
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const DIGESTS = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];

// Of its methods, digest() only.
export class SubtleCrypto {
  #brand = true;
  constructor(token) { illegal(token); }
  digest(algorithm, data) {
    return promising(() => {
      this.#brand;
      required(arguments.length, 2, "digest");
      const isObject = (typeof algorithm === "object" && algorithm !== null) || typeof algorithm === "function";
      const given = isObject ? algorithm : { name: DOMString(algorithm) };
      if (!isBufferSource(data)) throw new TypeError("digest: the data are not a buffer");
      // Steps 2 to 4: *get a copy of the bytes*, then *normalize an algorithm*.
      const bytes = copyOfBytes(data);
      const { name: rawName } = given;
      if (rawName === undefined) throw new TypeError("digest: the algorithm has no name");
      const name = DOMString(rawName).toUpperCase();
      if (!DIGESTS.includes(name)) throw errorOf("NotSupportedError", `digest: algorithm '${rawName}' is not offered`);
      // Steps 5 to 8, in parallel in the standard.
      const { buffer } = call(op_digest, name, bytes);
      return resolvedWith(buffer);
    });
  }
}
idl(SubtleCrypto);
Object.defineProperty(SubtleCrypto, "length", { value: 0, configurable: true });

export const crypto = new Crypto(HOST);

// [SecureContext].
if (!op_facts().secure) {
  delete Crypto.prototype.randomUUID;
  delete Crypto.prototype.subtle;
}

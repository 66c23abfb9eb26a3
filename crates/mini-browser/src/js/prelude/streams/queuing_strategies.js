// ByteLengthQueuingStrategy and CountQueuingStrategy. (Streams, "Queuing strategies".)

import { idl, required } from "../webidl.js";

function init(given, Class) {
  if (typeof given !== "object" && typeof given !== "function" || given === null) throw new TypeError(`${Class}: the init is not an object`);
  const { highWaterMark } = given;
  if (highWaterMark === undefined) throw new TypeError(`${Class}: the member 'highWaterMark' is required`);
  return +highWaterMark;
}

// The size functions, one of each a realm.
const byteLength = { size: (chunk) => chunk.byteLength }.size;
const count = { size: () => 1 }.size;

export class ByteLengthQueuingStrategy {
  #highWaterMark;
  constructor(given) {
    required(arguments.length, 1, "ByteLengthQueuingStrategy");
    this.#highWaterMark = init(given, "ByteLengthQueuingStrategy");
  }
  get highWaterMark() { return this.#highWaterMark; }
  get size() { return (this.#highWaterMark, byteLength); }
}
idl(ByteLengthQueuingStrategy);

export class CountQueuingStrategy {
  #highWaterMark;
  constructor(given) {
    required(arguments.length, 1, "CountQueuingStrategy");
    this.#highWaterMark = init(given, "CountQueuingStrategy");
  }
  get highWaterMark() { return this.#highWaterMark; }
  get size() { return (this.#highWaterMark, count); }
}
idl(CountQueuingStrategy);

// Queues with sizes, and what queuing strategies are converted to. (Streams, "Abstract operations":
// "Queue-with-sizes", "Queuing strategies", "Miscellaneous"; Web IDL conversions of the dictionaries.)

import { callback, dictionary } from "../webidl.js";

const { apply } = Reflect;

export function enqueueValueWithSize(container, value, size) {
  if (!isNonNegativeNumber(size) || size === Infinity) throw new RangeError("The size of a chunk must be a finite, non-negative number");
  container.queue.push({ value, size });
  container.queueTotalSize += size;
}

export function dequeueValue(container) {
  const { value, size } = container.queue.shift();
  // Rounding errors can make it negative.
  container.queueTotalSize = Math.max(0, container.queueTotalSize - size);
  return value;
}

export const peekQueueValue = (container) => container.queue[0].value;

export function resetQueue(container) {
  container.queue = [];
  container.queueTotalSize = 0;
}

const isNonNegativeNumber = (value) => typeof value === "number" && value >= 0;

// QueuingStrategy, a dictionary.
export function queuingStrategy(value) {
  const given = dictionary(value, "The queuing strategy");
  const { highWaterMark } = given;
  const converted = { highWaterMark: highWaterMark === undefined ? undefined : +highWaterMark, size: undefined };
  const { size } = given;
  if (size !== undefined) converted.size = callback(size, "The strategy's size");
  return converted;
}

// ExtractHighWaterMark.
export function extractHighWaterMark({ highWaterMark }, defaultHWM) {
  if (highWaterMark === undefined) return defaultHWM;
  if (Number.isNaN(highWaterMark) || highWaterMark < 0) throw new RangeError("The highWaterMark must be a non-negative number");
  return highWaterMark;
}

// ExtractSizeAlgorithm.
export function extractSizeAlgorithm({ size }) {
  return size === undefined ? () => 1 : (chunk) => +apply(size, undefined, [chunk]);
}

// Members of a dictionary that are callbacks, by their names in lexicographical order.
export function callbacksOf(object, names, what) {
  const converted = { __proto__: null };
  for (const name of names) {
    const value = object[name];
    converted[name] = value === undefined ? undefined : callback(value, `${what}'s ${name}`);
  }
  return converted;
}

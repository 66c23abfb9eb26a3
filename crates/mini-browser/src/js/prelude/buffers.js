// What Web IDL says of buffers and views on them: their slots, and which of them a type takes.
// (Web IDL, "Buffer source types".)

const { getPrototypeOf, getOwnPropertyDescriptor } = Object;
const { apply } = Reflect;

const getter = (prototype, name) => {
  const { get } = getOwnPropertyDescriptor(prototype, name);
  return (value) => apply(get, value, []);
};

const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
// The name of a typed array's type, or undefined for anything else.
export const typedArrayName = getter(TypedArrayPrototype, Symbol.toStringTag);
const typedArray = {
  buffer: getter(TypedArrayPrototype, "buffer"),
  byteOffset: getter(TypedArrayPrototype, "byteOffset"),
  byteLength: getter(TypedArrayPrototype, "byteLength"),
};
const dataView = {
  buffer: getter(DataView.prototype, "buffer"),
  byteOffset: getter(DataView.prototype, "byteOffset"),
  byteLength: getter(DataView.prototype, "byteLength"),
};
const { isView } = ArrayBuffer;
const slotsOf = (view) => (typedArrayName(view) === undefined ? dataView : typedArray);

// [[ViewedArrayBuffer]], [[ByteOffset]] and [[ByteLength]] of a view. A view that is out of bounds is empty.
export const bufferOf = (view) => slotsOf(view).buffer(view);
export function byteOffsetOf(view) { return inBounds(view, "byteOffset"); }
export function byteLengthOf(view) { return inBounds(view, "byteLength"); }

function inBounds(view, slot) {
  try {
    return slotsOf(view)[slot](view);
  } catch {
    // A DataView whose buffer is detached or too small.
    return 0;
  }
}

export const bufferByteLength = getter(ArrayBuffer.prototype, "byteLength");
export const isDetached = getter(ArrayBuffer.prototype, "detached");
const isResizable = getter(ArrayBuffer.prototype, "resizable");
const sharedByteLength = typeof SharedArrayBuffer === "function" ? getter(SharedArrayBuffer.prototype, "byteLength") : () => { throw new TypeError(); };
const isGrowable = typeof SharedArrayBuffer === "function" ? getter(SharedArrayBuffer.prototype, "growable") : () => false;
const { transferToFixedLength, slice } = ArrayBuffer.prototype;

const has = (read) => (value) => {
  try {
    read(value);
    return true;
  } catch {
    return false;
  }
};
const isObject = (value) => typeof value === "object" && value !== null;
const hasByteLength = has(bufferByteLength);
const hasSharedByteLength = has(sharedByteLength);
export const isArrayBuffer = (value) => isObject(value) && hasByteLength(value);
export const isSharedArrayBuffer = (value) => isObject(value) && hasSharedByteLength(value);

// TransferArrayBuffer: the new buffer; the old one is detached.
export const transferArrayBuffer = (buffer) => apply(transferToFixedLength, buffer, []);

// The bytes of a part of a buffer, copied.
export const sliceOf = (buffer, from, to) => apply(slice, buffer, [from, to]);

// Converts to ArrayBufferView without [AllowShared] and [AllowResizable].
export function arrayBufferView(value, what) {
  if (!isView(value)) throw new TypeError(`${what} is not a view on a buffer`);
  refuse(bufferOf(value), what, false);
  return value;
}

function refuse(buffer, what, allowShared, allowResizable = false) {
  if (isArrayBuffer(buffer)) {
    if (!allowResizable && isResizable(buffer)) throw new TypeError(`${what} is on a buffer that can be resized`);
    return;
  }
  if (!allowShared) throw new TypeError(`${what} is on a shared buffer`);
  if (!allowResizable && isGrowable(buffer)) throw new TypeError(`${what} is on a buffer that can grow`);
}

export const isBufferSource = (value) => isArrayBuffer(value) || isView(value);

// Converts to BufferSource: a Uint8Array over the same memory, which is empty if that is detached.
// `allowShared` and `allowResizable`: [AllowShared] and [AllowResizable].
export function bufferSource(value, what, allowShared = false, allowResizable = false) {
  const view = isView(value);
  if (!view && !isArrayBuffer(value) && !(allowShared && isSharedArrayBuffer(value))) throw new TypeError(`${what} is not a buffer or a view on one`);
  const buffer = view ? bufferOf(value) : value;
  refuse(buffer, what, allowShared, allowResizable);
  if (isArrayBuffer(buffer) && isDetached(buffer)) return new Uint8Array(0);
  return view ? new Uint8Array(buffer, byteOffsetOf(value), byteLengthOf(value)) : new Uint8Array(buffer);
}

// *Get a copy of the bytes held by the buffer source*; a view may be on a resizable buffer.
export function copyOfBytes(value) {
  const buffer = isView(value) ? bufferOf(value) : value;
  if (isArrayBuffer(buffer) && isDetached(buffer)) return new Uint8Array(0);
  return isView(value) ? new Uint8Array(buffer, byteOffsetOf(value), byteLengthOf(value)).slice() : new Uint8Array(buffer).slice();
}

// Bodies, the Body mixin, and what a body can be made of. (Fetch, "Bodies", "BodyInit unions", "Body mixin".)
//
// A body here is `{ pull, openStream, stream, used, shared, isStream, host, bytes,
// failure }`. As long as no script has seen its
// stream, `pull()` gives a promise of all its bytes at once; `openStream()` makes the record of its stream, once
// somebody asks for it. `isStream`: its source is null. `shared`: others have the same bytes.

import { op_load, op_utf8_encode } from "ops";
import { brands } from "./brands.js";
import { copyOfBytes, isBufferSource } from "./buffers.js";
import { utf8Decode } from "./encoding.js";
import { extractMimeType, serializeMimeType } from "./mime_type.js";
import { promising, react, rejectedWith, resolvedWith } from "./promises.js";
import { URLSearchParams, isSearchParams, serialized } from "./url.js";
import { USVString } from "./webidl.js";

// BodyInit, and null. What is none of its types is a string.
export function bodyInit(value) {
  const isKept =
    value === null ||
    isBufferSource(value) ||
    isSearchParams(value) ||
    brands.isBlob(value) ||
    brands.isFormData(value) ||
    brands.isReadableStream(value);
  return isKept ? value : USVString(value);
}

// *Extract* a body with its type from what `bodyInit` gave: `{ body, type }`. `keepalive`: a stream is
// refused.
export function extract(init, keepalive = false) {
  if (typeof init === "string") return { body: bodyOf(op_utf8_encode(init)), type: "text/plain;charset=UTF-8" };
  if (brands.isReadableStream(init)) {
    if (keepalive) throw new TypeError("a request that is kept alive cannot have a stream as its body");
    const stream = streams().recordOf(init);
    if (isUnusable({ stream })) throw new TypeError("the stream has been read already, or is locked");
    return { body: bodyOfStream(stream), type: null };
  }
  if (isSearchParams(init)) {
    return { body: bodyOf(op_utf8_encode(serialized(init))), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  if (brands.isBlob(init)) {
    const { blobBytes } = op_load("blob.js");
    // Nobody writes to these bytes, and nobody may.
    return { body: bodyOf(blobBytes(init), true), type: init.type === "" ? null : init.type };
  }
  if (brands.isFormData(init)) {
    const { encodeMultipart, entryList } = op_load("form_data.js");
    const { bytes, boundary } = encodeMultipart(entryList(init));
    return { body: bodyOf(bytes), type: `multipart/form-data; boundary=${boundary}` };
  }
  return { body: bodyOf(copyOfBytes(init)), type: null };
}

const streams = () => op_load("streams/body_streams.js");

// A body of bytes that nobody else writes to; `shared`: or reads as if they were his own.
export function bodyOf(bytes, shared = false) {
  return newBody({ bytes, pull: () => resolvedWith(bytes), openStream: () => streams().streamOfBytes(bytes), shared });
}

const NO_BYTES = new Uint8Array();

// The bytes of a body without a stream, if they are there, and none of a null body: it is used from now on. Else
// null.
export function takeBytesNow(body) {
  if (body === null) return NO_BYTES;
  const isThere = body.stream === undefined && !body.used && body.bytes !== null;
  return isThere ? bytesNow(body) : null;
}

// The bytes of a body that was made of bytes, and is used by this.
export function bytesNow(body) {
  body.used = true;
  body.pull = null;
  return body.bytes;
}

// A body that the host keeps, `{ id }`, whose bytes come when they are asked for: all by `pull()`, or one after
// another as `open()` gives them: `{ next() -> promise of a Uint8Array or null, cancel(reason), watch(error) }`.
export function bodyFrom(host, pull, open) {
  return newBody({ host, pull, openStream: () => streams().streamOfChunks(open()) });
}

// Takes the number of a body that the host keeps and nobody has touched: it is used from now on. Else null.
export function takeHostBody(body) {
  if (body.host === null || body.used || body.shared || body.stream !== undefined) return null;
  body.used = true;
  body.pull = null;
  return body.host.id;
}

// A body of a stream.
export function bodyOfStream(stream) {
  return newBody({ pull: () => streams().allBytes(stream), stream, isStream: true });
}

// Whether a body's source is null: nothing but a stream.
export const isStreamBody = (body) => body !== null && body.isStream;

function newBody({ pull, openStream = null, stream = undefined, shared = false, isStream = false, host = null, bytes = null }) {
  return { pull, openStream, stream, used: false, shared, isStream, host, bytes, failure: null };
}

// The stream of a body, which is made if there is none yet.
export function streamOf(body) {
  if (body.stream === undefined) {
    body.stream = body.used ? streams().usedStream() : body.openStream();
    body.pull = () => streams().allBytes(body.stream);
  }
  return body.stream;
}

// *Clone* a body. As long as nobody asks for a stream, both halves have the same bytes, which are pulled once;
// else the stream is teed.
export function cloneBody(body) {
  if (body === null) return null;
  if (body.stream !== undefined) {
    const [first, second] = streams().teeForClone(body.stream);
    body.stream = first;
    body.pull = () => streams().allBytes(first);
    return { ...newBody({ pull: () => streams().allBytes(second), stream: second }), isStream: body.isStream };
  }
  const { pull, openStream } = body;
  let pulled = null;
  let branches = null;
  const half = (index) => ({
    pull() {
      if (branches !== null) return streams().allBytes(branches[index]);
      return (pulled ??= pull());
    },
    openStream() {
      if (pulled !== null) return streams().streamOfPromise(pulled);
      branches ??= streams().teeForClone(openStream());
      return branches[index];
    },
  });
  Object.assign(body, half(0), { shared: true });
  return { ...newBody({ ...half(1), shared: true }), isStream: body.isStream };
}

// Moves a body into another object: the old one is used up. (*Create a proxy*.)
export function moveBody(body) {
  if (body === null) return null;
  if (body.stream !== undefined) {
    const moved = bodyOfStream(streams().proxyOf(body.stream));
    return { ...moved, isStream: body.isStream };
  }
  const moved = { ...body };
  body.used = true;
  body.pull = null;
  return moved;
}

// *Unusable*: disturbed or locked.
export function isUnusable(body) {
  if (body === null) return false;
  return body.stream === undefined ? body.used : body.stream.disturbed || body.stream.reader !== undefined;
}

const isDisturbed = (body) => body !== null && (body.stream === undefined ? body.used : body.stream.disturbed);

// Takes all bytes of a body, which is used from now on. A null body is null.
export function takeBytes(body) {
  if (body === null) return resolvedWith(null);
  if (body.failure !== null && body.stream === undefined) return rejectedWith(body.failure.reason);
  if (isUnusable(body)) return rejectedWith(new TypeError("the body has been read already, or is locked"));
  const { pull } = body;
  body.used = true;
  body.pull = null;
  return pull();
}

// Aborts a body that is read by somebody, or would be: its stream is canceled.
export function cancelBody(body, reason) {
  if (body === null || body.stream === undefined) return;
  if (body.stream.state === "readable") streams().cancelStream(body.stream, reason);
}

// Gives a class the members of the Body mixin; `bodyOfObject` gives an object's body, and throws
// for a wrong `this`; `headersOfObject` gives its header list.
export function includeBody(Class, bodyOfObject, headersOfObject) {
  // *Consume body*; the promise of a wrong `this` is rejected, as that of any failure.
  const consume = (object, steps) => promising(() => {
    const body = bodyOfObject(object);
    // What failed before is known at once.
    if (body !== null && body.failure !== null && body.stream === undefined) return rejectedWith(body.failure.reason);
    return react(takeBytes(body), (taken) => {
      const bytes = taken ?? new Uint8Array(0);
      // Nobody else may see what a script writes into its bytes.
      return steps(body !== null && body.shared ? bytes.slice() : bytes);
    });
  });
  const mixin = {
    get body() {
      const body = bodyOfObject(this);
      return body === null ? null : streams().readableObject(streamOf(body));
    },
    get bodyUsed() { return isDisturbed(bodyOfObject(this)); },
    arrayBuffer() {
      return consume(this, (bytes) => (bytes.buffer.byteLength === bytes.byteLength ? bytes.buffer : bytes.slice().buffer));
    },
    blob() {
      return consume(this, (bytes) => {
        const mimeType = extractMimeType(headersOfObject(this));
        return op_load("blob.js").newBlob(bytes, mimeType === null ? "" : serializeMimeType(mimeType));
      });
    },
    bytes() { return consume(this, (bytes) => bytes); },
    formData() { return consume(this, (bytes) => formDataOf(bytes, extractMimeType(headersOfObject(this)))); },
    json() { return consume(this, (bytes) => JSON.parse(utf8Decode(bytes))); },
    text() { return consume(this, utf8Decode); },
  };
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(mixin))) {
    Object.defineProperty(Class.prototype, name, descriptor);
  }
}

// formData(), step 1.
function formDataOf(bytes, mimeType) {
  const { newFormData, parseMultipart } = op_load("form_data.js");
  switch (mimeType?.essence) {
    case "multipart/form-data": {
      const boundary = mimeType.parameters.get("boundary");
      const list = boundary === undefined ? null : parseMultipart(bytes, boundary);
      if (list === null) {
        throw new TypeError("the body is no multipart/form-data");
      }
      return newFormData(list);
    }
    case "application/x-www-form-urlencoded":
      return newFormData(Array.from(new URLSearchParams(`?${op_load("encoding.js").utf8DecodeWithoutBOM(bytes)}`)));
    default:
      throw new TypeError("the body's type is none of a form");
  }
}

// The Body mixin, and what a body can be made of. (Fetch, "BodyInit unions" and "Body mixin".)
//
// A body here is `{ pull, used, shared, stream }`. As long as nobody asks for the `body` attribute there
// is no stream: `pull()` gives a promise of all its bytes, and is asked once by whoever consumes it.

import { op_load } from "ops";
import { brands } from "./brands.js";
import { TextDecoder, TextEncoder } from "./encoding.js";
import { extractMimeType, serializeMimeType } from "./mime_type.js";
import { URLSearchParams } from "./url.js";
import { USVString, bufferSource } from "./webidl.js";

const streams = () => op_load("body_streams.js");

// BodyInit, and null. What is none of its types is a string.
export function bodyInit(value) {
  const isKept =
    value === null ||
    value instanceof URLSearchParams ||
    brands.isBlob(value) ||
    brands.isFormData(value) ||
    brands.isReadableStream(value) ||
    bufferSource(value) !== null;
  return isKept ? value : USVString(value);
}

// *Extract* a body with its type from what `bodyInit` gave: `{ body, type }`. `keepalive`: a stream is
// refused.
export function extract(init, keepalive = false) {
  if (brands.isReadableStream(init)) {
    if (keepalive) throw new TypeError("a request that is kept alive cannot have a stream as its body");
    const { isDisturbed, isLocked } = streams();
    if (isDisturbed(init) || isLocked(init)) {
      throw new TypeError("the stream has been read already, or is locked");
    }
    return { body: { pull: null, used: false, shared: false, stream: init }, type: null };
  }
  if (init instanceof URLSearchParams) {
    return {
      body: bodyOf(encode(`${init}`)),
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    };
  }
  if (brands.isBlob(init)) {
    const { blobBytes } = op_load("blob.js");
    // Nobody writes to these bytes, and nobody may.
    return { body: { ...bodyOf(blobBytes(init)), shared: true }, type: init.type === "" ? null : init.type };
  }
  if (brands.isFormData(init)) {
    const { encodeMultipart, entryList } = op_load("form_data.js");
    const { bytes, boundary } = encodeMultipart(entryList(init));
    return { body: bodyOf(bytes), type: `multipart/form-data; boundary=${boundary}` };
  }
  const bytes = typeof init === "string" ? null : bufferSource(init);
  if (bytes !== null) {
    return { body: bodyOf(Uint8Array.from(bytes)), type: null };
  }
  return { body: bodyOf(encode(init)), type: "text/plain;charset=UTF-8" };
}

// A body of bytes that nobody else writes to.
export function bodyOf(bytes) {
  return bodyFrom(() => Promise.resolve(bytes));
}

// A body whose bytes come when they are asked for.
export function bodyFrom(pull) {
  return { pull, used: false, shared: false, stream: null };
}

// Whether a body's source is null: nothing but a stream.
export function isStreamBody(body) {
  return body !== null && body.pull === null && body.stream !== null;
}

// *Clone* a body: both halves have the same bytes, which are pulled once.
export function cloneBody(body) {
  if (body === null) {
    return null;
  }
  if (body.stream !== null) {
    const [kept, given] = streams().teeForClone(body.stream);
    body.stream = kept;
    return { pull: null, used: false, shared: false, stream: given };
  }
  const { pull } = body;
  let pulled = null;
  body.pull = () => (pulled ??= pull());
  body.shared = true;
  return { pull: body.pull, used: false, shared: true, stream: null };
}

// Moves a body into another object: the old one is used up. (*Create a proxy*.)
export function moveBody(body) {
  if (body === null) {
    return null;
  }
  if (body.stream !== null) {
    return { pull: null, used: false, shared: false, stream: streams().proxyOf(body.stream) };
  }
  const moved = { ...body };
  body.used = true;
  body.pull = null;
  return moved;
}

// *Unusable*: its stream is disturbed or locked, or would be.
export function isUnusable(body) {
  if (body === null) {
    return false;
  }
  if (body.stream !== null) {
    const { isDisturbed, isLocked } = streams();
    return isDisturbed(body.stream) || isLocked(body.stream);
  }
  return body.used;
}

// Takes all bytes of a body, which is used from now on. A null body is null.
export function takeBytes(body) {
  if (body === null) {
    return Promise.resolve(null);
  }
  if (isUnusable(body)) {
    return Promise.reject(new TypeError("the body has been read already"));
  }
  if (body.stream !== null) {
    return streams().readAllBytes(body.stream);
  }
  const { pull } = body;
  body.used = true;
  body.pull = null;
  return pull();
}

// The stream of a body, made when it is first wanted.
function streamOf(body) {
  if (body.stream === null) {
    const { pull, shared, used } = body;
    body.pull = null;
    body.stream = used
      ? streams().consumedStream()
      : streams().byteStream(async () => {
          const bytes = await pull();
          return shared ? bytes.slice() : bytes;
        });
  }
  return body.stream;
}

// Gives a class the members of the Body mixin; `bodyOfObject` gives an object's body, and throws
// for a wrong `this`; `headersOfObject` gives its header list.
export function includeBody(Class, bodyOfObject, headersOfObject) {
  // *Consume body*; the promise of a wrong `this` is rejected, as that of any failure.
  const consume = async (object) => {
    const body = bodyOfObject(object);
    const bytes = (await takeBytes(body)) ?? new Uint8Array(0);
    // Nobody else may see what a script writes into its bytes.
    return body !== null && body.shared ? bytes.slice() : bytes;
  };
  const mixin = {
    get body() {
      const body = bodyOfObject(this);
      return body === null ? null : streamOf(body);
    },
    get bodyUsed() {
      const body = bodyOfObject(this);
      if (body === null) {
        return false;
      }
      return body.stream === null ? body.used : streams().isDisturbed(body.stream);
    },
    async arrayBuffer() {
      const { buffer, byteOffset, byteLength } = await consume(this);
      return buffer.byteLength === byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
    },
    async blob() {
      const bytes = await consume(this);
      const mimeType = extractMimeType(headersOfObject(this));
      const { newBlob } = op_load("blob.js");
      return newBlob(bytes, mimeType === null ? "" : serializeMimeType(mimeType));
    },
    async bytes() {
      return consume(this);
    },
    async formData() {
      const bytes = await consume(this);
      return formDataOf(bytes, extractMimeType(headersOfObject(this)));
    },
    async json() {
      return JSON.parse(decode(await consume(this)));
    },
    async text() {
      return decode(await consume(this));
    },
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

function encode(string) {
  return new TextEncoder().encode(string);
}

// *UTF-8 decode*: a byte order mark is dropped, what is not UTF-8 becomes U+FFFD.
function decode(bytes) {
  return new TextDecoder().decode(bytes);
}

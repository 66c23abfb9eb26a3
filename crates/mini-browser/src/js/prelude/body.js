// The Body mixin, and what a body can be made of. (Fetch, "BodyInit unions" and "Body mixin".)
//
// A body here is `{ pull, used, shared }`: `pull()` gives a promise of all its bytes, and is asked
// once by whoever consumes it. The `body` attribute, a stream, is not offered.

import { TextDecoder, TextEncoder } from "./encoding.js";
import { URLSearchParams } from "./url.js";
import { USVString, bytesOf } from "./webidl.js";

// BodyInit, and null. What is none of its types is a string.
export function bodyInit(value) {
  const isKept =
    value === null ||
    value instanceof URLSearchParams ||
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value);
  return isKept ? value : USVString(value);
}

// *Extract* a body with its type from what `bodyInit` gave: `{ body, type }`.
export function extract(init) {
  if (init instanceof URLSearchParams) {
    return {
      body: bodyOf(encode(`${init}`)),
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    };
  }
  const bytes = typeof init === "string" ? null : bytesOf(init);
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
  return { pull, used: false, shared: false };
}

// *Clone* a body: both halves have the same bytes, which are pulled once.
export function cloneBody(body) {
  if (body === null) {
    return null;
  }
  const { pull } = body;
  let pulled = null;
  body.pull = () => (pulled ??= pull());
  body.shared = true;
  return { pull: body.pull, used: false, shared: true };
}

// Moves a body into another object: the old one is used up. (*Create a proxy*.)
export function moveBody(body) {
  if (body === null) {
    return null;
  }
  const moved = { ...body };
  body.used = true;
  body.pull = null;
  return moved;
}

// *Unusable*: read already.
export function isUnusable(body) {
  return body !== null && body.used;
}

// Takes all bytes of a body, which is used from now on. A null body is null.
export function takeBytes(body) {
  if (body === null) {
    return Promise.resolve(null);
  }
  if (body.used) {
    return Promise.reject(new TypeError("the body has been read already"));
  }
  const { pull } = body;
  body.used = true;
  body.pull = null;
  return pull();
}

// Gives a class the members of the Body mixin; `bodyOfObject` gives an object's body, and throws
// for a wrong `this`.
export function includeBody(Class, bodyOfObject) {
  // *Consume body*; the promise of a wrong `this` is rejected, as that of any failure.
  const consume = async (object) => {
    const body = bodyOfObject(object);
    const bytes = (await takeBytes(body)) ?? new Uint8Array(0);
    // Nobody else may see what a script writes into its bytes.
    return body !== null && body.shared ? bytes.slice() : bytes;
  };
  const mixin = {
    async arrayBuffer() {
      const { buffer, byteOffset, byteLength } = await consume(this);
      return buffer.byteLength === byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
    },
    async bytes() {
      return consume(this);
    },
    async json() {
      return JSON.parse(decode(await consume(this)));
    },
    async text() {
      return decode(await consume(this));
    },
    get bodyUsed() {
      const body = bodyOfObject(this);
      return body !== null && body.used;
    },
  };
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(mixin))) {
    Object.defineProperty(Class.prototype, name, descriptor);
  }
}

function encode(string) {
  return new TextEncoder().encode(string);
}

// *UTF-8 decode*: a byte order mark is dropped, what is not UTF-8 becomes U+FFFD.
function decode(bytes) {
  return new TextDecoder().decode(bytes);
}

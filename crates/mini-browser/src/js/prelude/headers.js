// Headers and its guards. (Fetch, "Headers class".)

import { op_set_hook } from "ops";

import { foreign } from "./brands.js";
import { pairs } from "./fetch_idl.js";
import { ByteString, idl, pairIterable, required } from "./webidl.js";

let isOwn;
let stateOf;
let create;

export class Headers {
  #state = { list: [], guard: "none" };

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #state in value;
    stateOf = (headers) => (isOwn(headers) ? headers.#state : elsewhere(headers));
    op_set_hook("headers", (value) => (isOwn(value) ? value.#state : null));
    create = (state) => {
      const headers = new Headers();
      headers.#state = state;
      return headers;
    };
  }

  constructor(init = undefined) {
    if (init !== undefined) {
      fill(this.#state, headersInit(init));
    }
  }

  append(name, value) {
    const state = this.#state;
    required(arguments.length, 2, "Headers.append");
    append(state, ByteString(name), ByteString(value));
  }

  delete(name) {
    const state = this.#state;
    required(arguments.length, 1, "Headers.delete");
    remove(state, ByteString(name));
  }

  get(name) {
    const { list } = this.#state;
    required(arguments.length, 1, "Headers.get");
    return combined(list, headerName(ByteString(name)));
  }

  getSetCookie() {
    const { list } = this.#state;
    return list.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) => value);
  }

  has(name) {
    const { list } = this.#state;
    required(arguments.length, 1, "Headers.has");
    return contains(list, headerName(ByteString(name)));
  }

  set(name, value) {
    const state = this.#state;
    required(arguments.length, 2, "Headers.set");
    set(state, ByteString(name), ByteString(value));
  }
}

pairIterable(Headers, (headers) => sortAndCombine(stateOf(headers).list));
idl(Headers);

// The state of a Headers object of another realm of the agent.
function elsewhere(value) {
  const state = foreign("headers", value);
  if (state === null) {
    throw new TypeError("the value is not a Headers object");
  }
  return state;
}

// A Headers object over a header list that is shared, not copied.
export function headersOver(list, guard) {
  return create({ list, guard });
}

// The header list and the guard of a Headers object: `{ list, guard }`.
export function headersState(headers) {
  return stateOf(headers);
}

// HeadersInit: a list of [name, value] pairs; of a Headers object its own, unsorted.
export function headersInit(init) {
  if (isHeaders(init) && init[Symbol.iterator] === Headers.prototype.entries) {
    return sortAndCombine(stateOf(init).list);
  }
  return pairs(init, ByteString, ByteString, "HeadersInit");
}

// *Fill* a Headers object's state with the pairs of `headersInit`.
export function fill(state, list) {
  for (const [name, value] of list) {
    append(state, name, value);
  }
}

// *Contains*, for a header list.
export function contains(list, name) {
  const wanted = name.toLowerCase();
  return list.some(([have]) => have.toLowerCase() === wanted);
}

// *Get* from a header list: the values of a name, combined, or null.
export function combined(list, name) {
  const wanted = name.toLowerCase();
  const values = list.filter(([have]) => have.toLowerCase() === wanted).map(([, value]) => value);
  return values.length === 0 ? null : values.join(", ");
}

// *Append* to a Headers object.
export function append(state, name, rawValue) {
  const value = normalize(rawValue);
  if (!validate(state, name, value)) {
    return;
  }
  if (state.guard === "request-no-cors") {
    const before = combined(state.list, name);
    const whole = before === null ? value : `${before}, ${value}`;
    if (!isNoCorsSafelisted(name, whole)) {
      return;
    }
  }
  appendToList(state.list, name, value);
  removePrivileged(state);
}

function set(state, name, rawValue) {
  const value = normalize(rawValue);
  if (!validate(state, name, value)) {
    return;
  }
  if (state.guard === "request-no-cors" && !isNoCorsSafelisted(name, value)) {
    return;
  }
  const wanted = name.toLowerCase();
  const first = state.list.find(([have]) => have.toLowerCase() === wanted);
  if (first === undefined) {
    state.list.push([name, value]);
  } else {
    first[1] = value;
    retain(state.list, (pair) => pair === first || pair[0].toLowerCase() !== wanted);
  }
  removePrivileged(state);
}

function remove(state, name) {
  if (!validate(state, name, "")) {
    return;
  }
  const wanted = name.toLowerCase();
  if (state.guard === "request-no-cors" && !NO_CORS_NAMES.has(wanted) && wanted !== "range") {
    return;
  }
  retain(state.list, ([have]) => have.toLowerCase() !== wanted);
  removePrivileged(state);
}

// *Validate*: throws for what is no header, false for what the guard silently refuses.
function validate({ guard }, name, value) {
  headerName(name);
  if (/[\0\r\n]/.test(value)) {
    throw new TypeError(`the value of header ${name} holds a NUL, CR or LF`);
  }
  if (guard === "immutable") {
    throw new TypeError("these headers are immutable");
  }
  if (guard === "request" && isForbiddenRequestHeader(name, value)) {
    return false;
  }
  return !(guard === "response" && FORBIDDEN_RESPONSE_NAMES.has(name.toLowerCase()));
}

function headerName(name) {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw new TypeError(`${JSON.stringify(name)} is not a header name`);
  }
  return name;
}

export function normalize(value) {
  return value.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
}

function appendToList(list, name, value) {
  // Header list, "append", step 1: the first name decides the case.
  const wanted = name.toLowerCase();
  const first = list.find(([have]) => have.toLowerCase() === wanted);
  list.push([first === undefined ? name : first[0], value]);
}

function retain(list, keep) {
  const kept = list.filter(keep);
  list.splice(0, list.length, ...kept);
}

// *Remove privileged no-CORS request-headers*.
function removePrivileged({ list, guard }) {
  if (guard === "request-no-cors") {
    retain(list, ([name]) => name.toLowerCase() !== "range");
  }
}

// *Sort and combine*.
function sortAndCombine(list) {
  const names = [...new Set(list.map(([name]) => name.toLowerCase()))].sort();
  return names.flatMap((name) =>
    name === "set-cookie"
      ? list.filter(([have]) => have.toLowerCase() === name).map(([, value]) => [name, value])
      : [[name, combined(list, name)]],
  );
}

const NO_CORS_NAMES = new Set(["accept", "accept-language", "content-language", "content-type"]);
const FORBIDDEN_RESPONSE_NAMES = new Set(["set-cookie", "set-cookie2"]);
const FORBIDDEN_REQUEST_NAMES = new Set([
  "accept-charset",
  "accept-encoding",
  "access-control-request-headers",
  "access-control-request-method",
  "access-control-request-private-network",
  "connection",
  "content-length",
  "cookie",
  "cookie2",
  "date",
  "dnt",
  "expect",
  "host",
  "keep-alive",
  "origin",
  "referer",
  "set-cookie",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
]);
const METHOD_OVERRIDES = new Set(["x-http-method", "x-http-method-override", "x-method-override"]);
const FORBIDDEN_METHODS = new Set(["connect", "trace", "track"]);

// *Forbidden request-header*.
export function isForbiddenRequestHeader(rawName, value) {
  const name = rawName.toLowerCase();
  if (FORBIDDEN_REQUEST_NAMES.has(name) || name.startsWith("proxy-") || name.startsWith("sec-")) {
    return true;
  }
  return (
    METHOD_OVERRIDES.has(name) &&
    // *Get, decode, and split*; no method holds a quote, so quoted strings need no care.
    value.split(",").some((method) => FORBIDDEN_METHODS.has(normalize(method).toLowerCase()))
  );
}

// *No-CORS-safelisted request-header*.
function isNoCorsSafelisted(rawName, value) {
  const name = rawName.toLowerCase();
  if (!NO_CORS_NAMES.has(name) || value.length > 128) {
    return false;
  }
  switch (name) {
    case "accept":
      return !hasUnsafeByte(value);
    case "content-type":
      return !hasUnsafeByte(value) && SAFELISTED_TYPES.has(essence(value));
    default:
      return /^[0-9A-Za-z *,\-.;=]*$/.test(value);
  }
}

const SAFELISTED_TYPES = new Set([
  "application/x-www-form-urlencoded",
  "multipart/form-data",
  "text/plain",
]);

// *CORS-unsafe request-header byte*.
function hasUnsafeByte(value) {
  return /[\x00-\x08\x0a-\x1f"():<>?@[\\\]{}\x7f]/.test(value);
}

// The essence of a MIME type, or null. (MIME Sniffing, "parse a MIME type".)
export function essence(value) {
  const match = /^[\t\n\r ]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\/([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t\n\r ]*(?:;|$)/.exec(value);
  return match === null ? null : `${match[1]}/${match[2]}`.toLowerCase();
}

function isHeaders(value) {
  return isOwn(value) || foreign("headers", value) !== null;
}

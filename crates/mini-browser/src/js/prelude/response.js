// Response. (Fetch, "Response class".)
//
// What the standard calls a response is a plain object here, as it crosses to the host, plus
// `body`. Of a filtered response a script's side has only what the filter shows; `headId` names the
// internal response, which the host keeps.

import { op_request_url, op_set_hook } from "ops";

import { foreign } from "./brands.js";
import { bodyInit, cloneBody, extract, includeBody, isUnusable } from "./body.js";
import { members } from "./fetch_idl.js";
import { append, contains, fill, headersInit, headersOver, headersState } from "./headers.js";
import { keep } from "./kept.js";
import { ByteString, HOST, USVString, idl, required } from "./webidl.js";

let isOwn;
let stateOf;

export class Response {
  // { response, headers }
  #state;

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #state in value;
    stateOf = (object) => (isOwn(object) ? object.#state : elsewhere(object));
    op_set_hook("response", (value) => (isOwn(value) ? value.#state : null));
  }

  constructor(body = null, init = undefined) {
    if (body === HOST) {
      this.#state = arguments[1];
      return;
    }
    const bodyValue = bodyInit(body);
    const converted = members(init, RESPONSE_INIT, "ResponseInit");
    // Steps 3 and 4.
    const extracted = bodyValue === null ? null : extract(bodyValue);
    this.#state = initialize(converted, extracted);
  }

  static error() {
    return newResponse({ ...INITIAL, type: "error", status: 0, headers: [] }, "immutable");
  }

  static redirect(url, status = 302) {
    required(arguments.length, 1, "Response.redirect");
    const input = USVString(url);
    const code = unsignedShort(status);
    // Steps 1 to 3.
    const parsed = op_request_url(input);
    if (parsed === null) {
      throw new TypeError(`${JSON.stringify(input)} is not a valid URL`);
    }
    if (![301, 302, 303, 307, 308].includes(code)) {
      throw new RangeError(`${code} is not a redirect status`);
    }
    // Steps 4 to 8.
    const response = { ...INITIAL, status: code, headers: [["Location", parsed.href]] };
    return newResponse(response, "immutable");
  }

  static json(data, init = undefined) {
    required(arguments.length, 1, "Response.json");
    const converted = members(init, RESPONSE_INIT, "ResponseInit");
    // Step 1: *serialize a JavaScript value to JSON bytes*.
    const json = JSON.stringify(data);
    if (json === undefined) {
      throw new TypeError("the value has no JSON form");
    }
    // Steps 2 to 4.
    const { body } = extract(json.toWellFormed());
    return Reflect.construct(Response, [
      HOST,
      initialize(converted, { body, type: "application/json" }),
    ]);
  }

  get type() {
    return this.#state.response.type;
  }

  get url() {
    const { urlList } = this.#state.response;
    return urlList.length === 0 ? "" : urlList.at(-1).replace(/#.*$/s, "");
  }

  get redirected() {
    return this.#state.response.urlList.length > 1;
  }

  get status() {
    return this.#state.response.status;
  }

  get ok() {
    const { status } = this.#state.response;
    return status >= 200 && status <= 299;
  }

  get statusText() {
    return this.#state.response.statusText;
  }

  get headers() {
    return this.#state.headers;
  }

  clone() {
    const { response, headers } = this.#state;
    // Step 1.
    if (isUnusable(response.body)) {
      throw new TypeError("a response whose body has been read cannot be cloned");
    }
    // Steps 2 and 3.
    const cloned = {
      ...response,
      headers: response.headers.map(([name, value]) => [name, value]),
      urlList: [...response.urlList],
      body: cloneBody(response.body),
    };
    return newResponse(cloned, headersState(headers).guard);
  }
}

includeBody(
  Response,
  (object) => visibleBody(stateOf(object).response),
  (object) => stateOf(object).response.headers,
);
idl(Response);

// Whether a value is a Response.
export function isResponse(value) {
  return isOwn(value) || foreign("response", value) !== null;
}

// The state of a Response of another realm of the agent.
function elsewhere(value) {
  const state = foreign("response", value);
  if (state === null) {
    throw new TypeError("the value is not a Response");
  }
  return state;
}

// The response of a Response object.
export function responseOf(object) {
  return stateOf(object).response;
}

// A Response over what the host gave; its headers cannot be changed. `body` is a body or null. Host only.
export function responseFromHost(head, body) {
  const response = {
    ...INITIAL,
    ...head,
    kept: keep("response", head.headId),
    body,
  };
  return newResponse(response, "immutable");
}

// What the host needs of a Response: its head, and its body, which may be null. Host only.
export function responseToHost(object) {
  const { response } = stateOf(object);
  return { head: responseHead(response), body: response.body };
}

// A response as it crosses to the host, without its body. As long as this object is held, the host
// keeps the internal response.
export function responseHead(response) {
  const { body, ...head } = response;
  return { ...head, url: response.urlList.at(-1) ?? "", redirected: response.urlList.length > 1 };
}

const INITIAL = {
  type: "default",
  urlList: [],
  status: 200,
  statusText: "",
  headers: [],
  // The internal response, and what keeps the host from forgetting it.
  headId: null,
  kept: null,
  body: null,
};

// In lexicographical order.
const RESPONSE_INIT = {
  headers: headersInit,
  status: unsignedShort,
  statusText: ByteString,
};

// *Initialize a response*; gives the state of the new object.
function initialize(init, extracted) {
  const status = init.status ?? 200;
  const statusText = init.statusText ?? "";
  // Steps 1 and 2.
  if (status < 200 || status > 599) {
    throw new RangeError(`${status} is not between 200 and 599`);
  }
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(statusText)) {
    throw new TypeError(`${JSON.stringify(statusText)} is not a status message`);
  }
  // Steps 3 to 5.
  const response = { ...INITIAL, status, statusText, headers: [] };
  const headers = headersOver(response.headers, "response");
  fill(headersState(headers), init.headers ?? []);
  // Step 6.
  if (extracted !== null) {
    if ([101, 103, 204, 205, 304].includes(status)) {
      throw new TypeError(`a response of status ${status} cannot have a body`);
    }
    response.body = extracted.body;
    if (extracted.type !== null && !contains(response.headers, "Content-Type")) {
      append(headersState(headers), "Content-Type", extracted.type);
    }
  }
  return { response, headers };
}

// An opaque filtered response has a null body, whatever its internal response has.
function visibleBody(response) {
  return response.type === "opaque" || response.type === "opaqueredirect" ? null : response.body;
}

// unsigned short.
function unsignedShort(value) {
  return new Uint16Array([+value])[0];
}

// *Create* a Response object.
function newResponse(response, guard) {
  const headers = headersOver(response.headers, guard);
  return Reflect.construct(Response, [HOST, { response, headers }]);
}

// Request. (Fetch, "Request class".)
//
// What the standard calls a request is a plain object here, as it crosses to the host, plus `body`;
// its `headers` is the list that the Request's Headers object writes to.

import { op_request_url, op_resolve_blob, op_set_hook } from "ops";

import { abortSignal, dependentSignal, newSignal, shown } from "./abort.js";
import { foreign } from "./brands.js";
import { bodyInit, cloneBody, extract, includeBody, isStreamBody, isUnusable, moveBody } from "./body.js";
import { choice, members } from "./fetch_idl.js";
import { append, contains, fill, headersInit, headersOver, headersState } from "./headers.js";
import { keep } from "./kept.js";
import { ByteString, DOMString, HOST, USVString, idl, required } from "./webidl.js";

let isOwn;
let stateOf;

export class Request {
  // { request, headers, signal, watch }; a signal that nobody asked for yet is null.
  #state;

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #state in value;
    stateOf = (object) => (isOwn(object) ? object.#state : elsewhere(object));
    op_set_hook("request", (value) => (isOwn(value) ? value.#state : null));
  }

  constructor(input, init = undefined) {
    if (input === HOST) {
      this.#state = arguments[1];
      return;
    }
    required(arguments.length, 1, "Request");
    this.#state = construct(input, init);
  }

  get method() {
    return this.#state.request.method;
  }

  get url() {
    return this.#state.request.urlList[0];
  }

  get headers() {
    return this.#state.headers;
  }

  get destination() {
    return this.#state.request.destination;
  }

  get referrer() {
    return this.#state.request.referrer;
  }

  get referrerPolicy() {
    return this.#state.request.referrerPolicy;
  }

  get mode() {
    return this.#state.request.mode;
  }

  get credentials() {
    return this.#state.request.credentials;
  }

  get cache() {
    return this.#state.request.cache;
  }

  get redirect() {
    return this.#state.request.redirect;
  }

  get integrity() {
    return this.#state.request.integrity;
  }

  get keepalive() {
    return this.#state.request.keepalive;
  }

  get isReloadNavigation() {
    return this.#state.request.reloadNavigation;
  }

  get isHistoryNavigation() {
    return this.#state.request.historyNavigation;
  }

  get signal() {
    return shown(signalOf(this.#state));
  }

  get duplex() {
    this.#state;
    return "half";
  }

  get lookAside() {
    return this.#state.request.lookAside;
  }

  clone() {
    const { request, headers } = this.#state;
    // Step 1.
    if (isUnusable(request.body)) {
      throw new TypeError("a request whose body has been read cannot be cloned");
    }
    // Steps 2 to 5.
    const signal = dependentSignal([signalOf(this.#state)]);
    return newRequest(cloneRequest(request), headersState(headers).guard, signal);
  }
}

includeBody(
  Request,
  (object) => stateOf(object).request.body,
  (object) => stateOf(object).request.headers,
);
idl(Request);

// Whether a value is a Request.
export function isRequest(value) {
  return isOwn(value) || foreign("request", value) !== null;
}

// The state of a Request of another realm of the agent.
function elsewhere(value) {
  const state = foreign("request", value);
  if (state === null) {
    throw new TypeError("the value is not a Request");
  }
  return state;
}

// The request of a Request object.
export function requestOf(object) {
  return stateOf(object).request;
}

// The signal that can abort a Request, or null if nothing can, as nobody asked for its signal.
export function requestSignal(object) {
  return stateOf(object).signal;
}

// A Request over what the host gave, with immutable headers; `watch` is given its signal, once somebody wants
// that. Host only.
export function requestFromHost(head, body = null, watch = null) {
  const request = {
    ...INITIAL,
    ...head,
    kept: keep("requester", head.requesterId ?? null),
    body,
  };
  return newRequest(request, "immutable", null, watch);
}

// A request as it crosses to the host, without its body. Keep the request until it has crossed.
export function requestToHost(request) {
  const { body, kept, blob, ...head } = request;
  return { ...head, blobId: blob?.id ?? null, url: request.urlList.at(-1) };
}

// A request with these members, and else as a new one. Host only.
export function requestOver(members) {
  return { ...INITIAL, ...members };
}

const INITIAL = {
  method: "GET",
  urlList: [],
  headers: [],
  destination: "",
  mode: "no-cors",
  credentials: "same-origin",
  cache: "default",
  redirect: "follow",
  referrer: "about:client",
  referrerPolicy: "",
  serviceWorkers: "all",
  lookAside: "default",
  integrity: "",
  keepalive: false,
  reloadNavigation: false,
  historyNavigation: false,
  // On whose behalf it is fetched, and what keeps the host from forgetting that.
  requesterId: null,
  kept: null,
  // What a blob: URL led to when it was parsed.
  blob: null,
  body: null,
};

const nullable = (convert) => (value) => (value === null ? null : convert(value));

// In lexicographical order.
const REQUEST_INIT = {
  body: bodyInit,
  cache: choice(
    ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
    "cache mode",
  ),
  credentials: choice(["omit", "same-origin", "include"], "credentials mode"),
  duplex: choice(["half"], "duplex"),
  headers: headersInit,
  integrity: DOMString,
  keepalive: Boolean,
  lookAside: choice(["default", "none", "local", "universal"], "look-aside mode"),
  method: ByteString,
  mode: choice(["navigate", "same-origin", "no-cors", "cors"], "mode"),
  priority: choice(["high", "low", "auto"], "priority"),
  redirect: choice(["follow", "error", "manual"], "redirect mode"),
  referrer: USVString,
  referrerPolicy: choice(
    [
      "",
      "no-referrer",
      "no-referrer-when-downgrade",
      "same-origin",
      "origin",
      "strict-origin",
      "origin-when-cross-origin",
      "strict-origin-when-cross-origin",
      "unsafe-url",
    ],
    "referrer policy",
  ),
  signal: nullable(abortSignal),
  window: (value) => value,
};

// The constructor's steps; gives the state of the new object.
function construct(input, rawInit) {
  const isObject = isRequest(input);
  const url = isObject ? null : USVString(input);
  const init = members(rawInit, REQUEST_INIT, "RequestInit");

  // Steps 5 and 6.
  const inputState = isObject ? stateOf(input) : null;
  const base = isObject ? inputState.request : initial(requestUrl(url));
  const fallbackMode = isObject ? null : "cors";
  let signal = isObject ? signalOf(inputState) : null;

  // Step 10.
  if ("window" in init && init.window !== null) {
    throw new TypeError("the window of a RequestInit can only be null");
  }
  // Step 12. Not copied are the destination and the service-workers mode.
  const request = {
    ...base,
    headers: copyList(base.headers),
    urlList: [...base.urlList],
    destination: INITIAL.destination,
    serviceWorkers: INITIAL.serviceWorkers,
    body: null,
  };
  applyInit(request, init, fallbackMode);
  // Step 26.
  if ("signal" in init) {
    signal = init.signal;
  }
  // Steps 29 and 30.
  const dependent = signal === null ? null : dependentSignal([signal]);
  // Steps 31 to 33.
  const headers = headersOver(request.headers, "request");
  fillHeaders(headersState(headers), request, init);
  // Steps 34 to 42.
  request.body = constructBody(inputState, init, request, headersState(headers));
  return { request, headers, signal: dependent };
}

// Steps 13 to 25 and 27.
function applyInit(request, init, fallbackMode) {
  // Step 13.
  if (Object.keys(init).length > 0) {
    if (request.mode === "navigate") {
      request.mode = "same-origin";
      // The origin is this client's from now on.
      request.requesterId = null;
      request.kept = null;
    }
    request.reloadNavigation = false;
    request.historyNavigation = false;
    request.referrer = "about:client";
    request.referrerPolicy = "";
    request.urlList = [request.urlList.at(-1)];
  }
  // Step 14.
  if ("referrer" in init) {
    request.referrer = referrerOf(init.referrer);
  }
  // Steps 15 to 18.
  request.referrerPolicy = init.referrerPolicy ?? request.referrerPolicy;
  const mode = init.mode ?? fallbackMode;
  if (mode === "navigate") {
    throw new TypeError("a script cannot make a request of mode navigate");
  }
  request.mode = mode ?? request.mode;
  // Steps 19 to 24.
  request.credentials = init.credentials ?? request.credentials;
  request.cache = init.cache ?? request.cache;
  if (request.cache === "only-if-cached" && request.mode !== "same-origin") {
    throw new TypeError("cache mode only-if-cached needs mode same-origin");
  }
  request.redirect = init.redirect ?? request.redirect;
  request.integrity = init.integrity ?? request.integrity;
  request.keepalive = init.keepalive ?? request.keepalive;
  // SEMANTICS §4.2, row 32.
  request.lookAside = init.lookAside ?? request.lookAside;
  // Step 25.
  if ("method" in init) {
    request.method = methodOf(init.method);
  }
}

// Steps 32 and 33.
function fillHeaders(state, request, init) {
  // Step 32.
  if (request.mode === "no-cors") {
    if (!["GET", "HEAD", "POST"].includes(request.method)) {
      throw new TypeError(`method ${request.method} is not possible in mode no-cors`);
    }
    state.guard = "request-no-cors";
  }
  // Step 33.
  if (Object.keys(init).length > 0) {
    const headers = init.headers ?? copyList(state.list);
    state.list.length = 0;
    fill(state, headers);
  }
}

// Steps 34 to 42.
function constructBody(inputState, init, request, headers) {
  const inputBody = inputState === null ? null : inputState.request.body;
  const hasInit = "body" in init && init.body !== null;
  // Step 35.
  if ((hasInit || inputBody !== null) && (request.method === "GET" || request.method === "HEAD")) {
    throw new TypeError(`a ${request.method} request cannot have a body`);
  }
  // Step 37.
  if (hasInit) {
    const { body, type } = extract(init.body, request.keepalive);
    // Step 40.
    if (isStreamBody(body)) {
      if (init.duplex === undefined) {
        throw new TypeError("a request with a stream as its body needs the member duplex");
      }
      if (request.mode !== "same-origin" && request.mode !== "cors") {
        throw new TypeError(`a stream cannot be the body of a request of mode ${request.mode}`);
      }
    }
    if (type !== null && !contains(headers.list, "Content-Type")) {
      append(headers, "Content-Type", type);
    }
    return body;
  }
  // Step 40.
  if (isStreamBody(inputBody) && request.mode !== "same-origin" && request.mode !== "cors") {
    throw new TypeError(`a stream cannot be the body of a request of mode ${request.mode}`);
  }
  // Step 41.
  if (isUnusable(inputBody)) {
    throw new TypeError("the body of the given Request has been read already");
  }
  return moveBody(inputBody);
}

// Step 5: a request of that URL.
function initial(url) {
  const blob = url.startsWith("blob:") ? keep("blob", op_resolve_blob(url) ?? null) : null;
  return { ...INITIAL, urlList: [url], blob };
}

// Step 5: the input's URL.
function requestUrl(input) {
  const parsed = op_request_url(input);
  if (parsed === null) {
    throw new TypeError(`${JSON.stringify(input)} is not a valid URL`);
  }
  if (parsed.hasCredentials) {
    throw new TypeError(`${JSON.stringify(input)} holds a user name or password`);
  }
  return parsed.href;
}

// Step 14. The empty string is no-referrer.
function referrerOf(referrer) {
  if (referrer === "") {
    return "";
  }
  const parsed = op_request_url(referrer);
  if (parsed === null) {
    throw new TypeError(`referrer ${JSON.stringify(referrer)} is not a valid URL`);
  }
  const isClient = parsed.href === "about:client" || !parsed.isSameOrigin;
  return isClient ? "about:client" : parsed.href;
}

// Step 25.
function methodOf(method) {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) {
    throw new TypeError(`${JSON.stringify(method)} is not a method`);
  }
  const upper = method.toUpperCase();
  if (["CONNECT", "TRACE", "TRACK"].includes(upper)) {
    throw new TypeError(`method ${method} is forbidden`);
  }
  // *Normalize*.
  return ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].includes(upper) ? upper : method;
}

// *Clone* a request.
function cloneRequest(request) {
  return {
    ...request,
    headers: copyList(request.headers),
    urlList: [...request.urlList],
    body: cloneBody(request.body),
  };
}

function copyList(list) {
  return list.map(([name, value]) => [name, value]);
}

// A Request's signal, made when it is first wanted.
function signalOf(state) {
  if (state.signal === null) {
    state.signal = newSignal();
    state.watch?.(state.signal);
  }
  return state.signal;
}

// *Create* a Request object.
function newRequest(request, guard, signal, watch = null) {
  const headers = headersOver(request.headers, guard);
  return Reflect.construct(Request, [HOST, { request, headers, signal, watch }]);
}

// XMLHttpRequest and its targets. (XMLHttpRequest, "Interface XMLHttpRequest".) What is fetched, and how, is in
// xhr_send.js; what becomes of the response in xhr_response.js.

import { op_request_url, op_url_set } from "ops";
import { EventTarget, defineEventHandler } from "./events.js";
import { choice } from "./fetch_idl.js";
import { combine, combined, headerName, headersOver, headersState, isHeaderValue, normalize } from "./headers.js";
import { parseMimeType } from "./mime_type.js";
import { global, windowProxy } from "./realms.js";
import { normalizeMethod } from "./request.js";
import { ByteString, DOMString, HOST, USVString, errorOf, idl, illegal, required } from "./webidl.js";
import { allHeaders, networkError, responseObject, responseText, responseUrl, responseXml } from "./xhr_response.js";
import { abort, convertBody, send, setState, terminate, timeoutChanged } from "./xhr_send.js";

const UNSENT = 0, OPENED = 1, HEADERS_RECEIVED = 2, LOADING = 3, DONE = 4;
const isWindow = windowProxy !== global;

export class XMLHttpRequestEventTarget extends EventTarget {
  constructor(token) {
    illegal(token);
    super();
  }
}
idl(XMLHttpRequestEventTarget);
Object.defineProperty(XMLHttpRequestEventTarget, "length", { value: 0, configurable: true });
for (const type of ["loadstart", "progress", "abort", "error", "load", "timeout", "loadend"]) defineEventHandler(XMLHttpRequestEventTarget, type);

export class XMLHttpRequestUpload extends XMLHttpRequestEventTarget {
  constructor(token) { super(token); }
}
idl(XMLHttpRequestUpload);
Object.defineProperty(XMLHttpRequestUpload, "length", { value: 0, configurable: true });

const responseTypeOf = choice(["", "arraybuffer", "blob", "document", "json", "text"], "responseType");

export class XMLHttpRequest extends XMLHttpRequestEventTarget {
  #xhr;

  constructor() {
    super(HOST);
    this.#xhr = {
      object: this, upload: new XMLHttpRequestUpload(HOST), state: UNSENT, sendFlag: false, crossOriginCredentials: false,
      method: "", url: "", headers: null, synchronous: false, uploadComplete: false, uploadListener: false, timedOut: false,
      timeout: 0, timer: null, overrideMimeType: null, responseType: "", response: networkError(), received: [], receivedLength: 0,
      responseObject: null, controller: null, started: 0, isWindow,
    };
  }

  get readyState() { return this.#xhr.state; }

  open(method, url, async = undefined, username = undefined, password = undefined) {
    const xhr = this.#xhr;
    required(arguments.length, 2, "open");
    method = ByteString(method);
    url = USVString(url);
    const isAsync = arguments.length < 3 || !!async;
    const credential = (value) => (value === undefined || value === null ? null : USVString(value));
    const credentials = [credential(username), credential(password)];
    // Steps 2 to 4.
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) throw errorOf("SyntaxError", `open: '${method}' is not a method`);
    if (/^(connect|trace|track)$/i.test(method)) throw errorOf("SecurityError", `open: method ${method} is forbidden`);
    // Steps 5 to 8.
    const parsed = parse(url, ...credentials);
    if (parsed === null) throw errorOf("SyntaxError", `open: '${url}' is not a valid URL`);
    // Step 9.
    if (!isAsync && isWindow && (xhr.timeout !== 0 || xhr.responseType !== "")) {
      throw errorOf("InvalidAccessError", "open: a synchronous request of a window has no timeout and no responseType");
    }
    // Steps 10 to 12.
    terminate(xhr);
    Object.assign(xhr, {
      sendFlag: false, uploadListener: false, method: normalizeMethod(method), url: parsed, synchronous: !isAsync,
      headers: headersOver([], "request"), response: networkError(), received: [], receivedLength: 0, responseObject: null,
    });
    if (xhr.state !== OPENED) setState(xhr, OPENED);
  }

  setRequestHeader(name, value) {
    const xhr = this.#xhr;
    required(arguments.length, 2, "setRequestHeader");
    name = ByteString(name);
    value = ByteString(value);
    // Steps 1 to 4.
    if (xhr.state !== OPENED || xhr.sendFlag) throw errorOf("InvalidStateError", "setRequestHeader: the request is not open, or is sent");
    value = normalize(value);
    if (!headerName.test(name) || !isHeaderValue(value)) throw errorOf("SyntaxError", "setRequestHeader: this is no header");
    // Steps 5 and 6.
    combine(headersState(xhr.headers), name, value);
  }

  get timeout() { return this.#xhr.timeout; }
  set timeout(value) {
    const xhr = this.#xhr;
    const timeout = value >>> 0;
    if (isWindow && xhr.synchronous && xhr.state !== UNSENT) throw errorOf("InvalidAccessError", "timeout: the request is synchronous");
    xhr.timeout = timeout;
    timeoutChanged(xhr);
  }

  get withCredentials() { return this.#xhr.crossOriginCredentials; }
  set withCredentials(value) {
    const xhr = this.#xhr;
    if ((xhr.state !== UNSENT && xhr.state !== OPENED) || xhr.sendFlag) throw errorOf("InvalidStateError", "withCredentials: the request is sent");
    xhr.crossOriginCredentials = !!value;
  }

  get upload() { return this.#xhr.upload; }

  send(body = null) {
    const xhr = this.#xhr;
    const converted = convertBody(xhr, body);
    if (xhr.state !== OPENED || xhr.sendFlag) throw errorOf("InvalidStateError", "send: the request is not open, or is sent");
    send(xhr, converted);
  }

  abort() { abort(this.#xhr); }

  get responseURL() { return responseUrl(this.#xhr); }
  get status() { return this.#xhr.response.status; }
  get statusText() { return this.#xhr.response.statusText; }

  getResponseHeader(name) {
    const { response } = this.#xhr;
    required(arguments.length, 1, "getResponseHeader");
    return combined(response.headers, ByteString(name));
  }
  getAllResponseHeaders() { return allHeaders(this.#xhr.response.headers); }

  overrideMimeType(mime) {
    const xhr = this.#xhr;
    required(arguments.length, 1, "overrideMimeType");
    const type = DOMString(mime);
    if (xhr.state === LOADING || xhr.state === DONE) throw errorOf("InvalidStateError", "overrideMimeType: the response is there");
    xhr.overrideMimeType = parseMimeType(type) ?? { essence: "application/octet-stream", parameters: new Map() };
  }

  get responseType() { return this.#xhr.responseType; }
  set responseType(value) {
    const xhr = this.#xhr;
    let type;
    try {
      type = responseTypeOf(value);
    } catch (error) {
      // What is no value of the enumeration is ignored.
      if (typeof value === "symbol") throw error;
      return;
    }
    // Steps 1 to 3.
    if (!isWindow && type === "document") return;
    if (xhr.state === LOADING || xhr.state === DONE) throw errorOf("InvalidStateError", "responseType: the response is there");
    if (isWindow && xhr.synchronous && xhr.state !== UNSENT) throw errorOf("InvalidAccessError", "responseType: the request is synchronous");
    xhr.responseType = type;
  }

  get response() { return responseObject(this.#xhr); }
  get responseText() {
    const xhr = this.#xhr;
    if (xhr.responseType !== "" && xhr.responseType !== "text") throw errorOf("InvalidStateError", "responseText: responseType is another");
    return xhr.state === LOADING || xhr.state === DONE ? responseText(xhr) : "";
  }
  get responseXML() { return responseXml(this.#xhr); }
}
defineEventHandler(XMLHttpRequest, "readystatechange");
idl(XMLHttpRequest, { constants: { UNSENT, OPENED, HEADERS_RECEIVED, LOADING, DONE } });
if (!isWindow) delete XMLHttpRequest.prototype.responseXML;

// open(), steps 5 to 8: the URL with the credentials, or null.
function parse(url, username, password) {
  const parsed = op_request_url(url);
  if (parsed === null) return null;
  let { href } = parsed;
  if (username !== null) ({ href } = op_url_set(href, "username", username));
  if (password !== null) ({ href } = op_url_set(href, "password", password));
  return href;
}

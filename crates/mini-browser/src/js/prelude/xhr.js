// XMLHttpRequest. (XMLHttpRequest, "Interface XMLHttpRequest".)

import { op_fetch, op_fetch_sync, op_now, op_request_url, op_resolve_blob, op_url_set } from "ops";
import { newSignal, signalAbort } from "./abort.js";
import { bodyInit, bytesNow, extract } from "./body.js";
import { brands } from "./brands.js";
import { queueTask } from "./event_loop.js";
import { EventTarget, defineEventHandler, fireEvent, typesOf } from "./events.js";
import { chunksOf, unlessAborted } from "./fetch.js";
import { combined, isForbiddenRequestHeader, normalize } from "./headers.js";
import { keep } from "./kept.js";
import { parseMimeType, serializeMimeType } from "./mime_type.js";
import { fireProgress } from "./progress_event.js";
import { global, windowProxy } from "./realms.js";
import { requestOver, requestToHost } from "./request.js";
import { clearTimeout, setTimeout } from "./timers.js";
import { ByteString, DOMString, HOST, USVString, errorOf, fromOp, idl, illegal, required } from "./webidl.js";
import { documentToSend, extractLength, headerText, responseOf, textOf, xmlOf } from "./xhr_response.js";

const UNSENT = 0, OPENED = 1, HEADERS_RECEIVED = 2, LOADING = 3, DONE = 4;
const RESPONSE_TYPES = ["", "arraybuffer", "blob", "document", "json", "text"];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// What a response is before there is one, and after it failed.
const NETWORK_ERROR = { status: 0, statusText: "", headers: [], urlList: [], isError: true };

const isWindow = windowProxy !== global;
let documentOf;

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

export class XMLHttpRequest extends XMLHttpRequestEventTarget {
  #upload = new XMLHttpRequestUpload(HOST);
  #state = UNSENT;
  #isSync = false;
  #isSent = false;
  #method = "GET";
  #url = "";
  // What a blob: URL led to when it was opened.
  #blob = null;
  #headers = [];
  #timeout = 0;
  #withCredentials = false;
  #responseType = "";
  #overrideMimeType = null;
  #uploadListens = false;
  #uploadComplete = false;
  #uploadLength = 0;
  #response = NETWORK_ERROR;
  #pieces = [];
  #received = 0;
  #cache = {};
  // When progress was told last, and of how many bytes.
  #lastProgress = 0;
  #told = -1;
  // The fetch that goes on: the signal that terminates it, since when, and the timer of the timeout.
  #fetch = null;

  constructor() { super(HOST); }

  get readyState() { return this.#state; }

  open(method, url, async = true, username = null, password = null) {
    this.#state;
    required(arguments.length, 2, "open");
    method = ByteString(method);
    url = USVString(url);
    const isAsync = arguments.length < 3 || !!async;
    const user = arguments.length < 3 || username === null ? null : USVString(username);
    const pass = arguments.length < 3 || password === null ? null : USVString(password);
    // Steps 2 to 4.
    if (!TOKEN.test(method)) throw errorOf("SyntaxError", `open: ${JSON.stringify(method)} is not a method`);
    const upper = method.toUpperCase();
    if (["CONNECT", "TRACE", "TRACK"].includes(upper)) throw errorOf("SecurityError", `open: method ${method} is forbidden`);
    if (["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].includes(upper)) method = upper;
    // Steps 5 to 8.
    const parsed = op_request_url(url);
    if (parsed === null) throw errorOf("SyntaxError", `open: ${JSON.stringify(url)} is not a valid URL`);
    let { href } = parsed;
    if (user !== null && /^(https?|ftp):/.test(href)) href = op_url_set(href, "username", user).href;
    if (pass !== null && /^(https?|ftp):/.test(href)) href = op_url_set(href, "password", pass).href;
    // Step 9.
    if (!isAsync && isWindow && (this.#timeout !== 0 || this.#responseType !== "")) {
      throw errorOf("InvalidAccessError", "open: a synchronous request of a window has neither a timeout nor a response type");
    }
    // Steps 10 and 11.
    this.#terminate();
    this.#isSent = false;
    this.#uploadListens = false;
    this.#method = method;
    this.#url = href;
    this.#blob = href.startsWith("blob:") ? keep("blob", op_resolve_blob(href) ?? null) : null;
    this.#isSync = !isAsync;
    this.#headers = [];
    this.#setResponse(NETWORK_ERROR);
    // Step 12.
    if (this.#state !== OPENED) {
      this.#state = OPENED;
      fireEvent(this, "readystatechange");
    }
  }

  setRequestHeader(name, value) {
    this.#state;
    required(arguments.length, 2, "setRequestHeader");
    name = ByteString(name);
    value = normalize(ByteString(value));
    this.#mustBeOpened("setRequestHeader");
    if (!TOKEN.test(name) || /[\0\r\n]/.test(value)) throw errorOf("SyntaxError", "setRequestHeader: the name or value is not one of a header");
    if (isForbiddenRequestHeader(name, value)) return;
    // *Combine*.
    const same = this.#headers.find(([have]) => have.toLowerCase() === name.toLowerCase());
    if (same === undefined) this.#headers.push([name, value]);
    else same[1] = `${same[1]}, ${value}`;
  }

  get timeout() { return this.#timeout; }
  set timeout(value) {
    const timeout = Number(value) >>> 0;
    if (isWindow && this.#isSync) throw errorOf("InvalidAccessError", "A synchronous request of a window has no timeout");
    this.#timeout = timeout;
    this.#startTimer();
  }

  get withCredentials() { return this.#withCredentials; }
  set withCredentials(value) {
    const isOpenable = (this.#state === UNSENT || this.#state === OPENED) && !this.#isSent;
    if (!isOpenable) throw errorOf("InvalidStateError", "The request has been sent");
    this.#withCredentials = !!value;
  }

  get upload() { return this.#upload; }

  send(body = null) {
    this.#state;
    const given = body === undefined || body === null ? null : (documentToSend(body) ?? bodyInit(brands.isReadableStream(body) ? DOMString(body) : body));
    // Steps 1 to 3.
    this.#mustBeOpened("send");
    const isIgnored = given === null || this.#method === "GET" || this.#method === "HEAD";
    // Step 4.
    const extracted = isIgnored ? null : this.#extract(given);
    // Steps 5 to 10.
    this.#uploadListens = typesOf(this.#upload).length > 0;
    const request = requestOver({
      method: this.#method, urlList: [this.#url], headers: this.#headers, mode: "cors", credentials: this.#withCredentials ? "include" : "same-origin",
      blob: this.#blob, body: extracted,
    });
    this.#uploadComplete = extracted === null;
    this.#isSent = true;
    if (this.#isSync) this.#sendSync(request);
    else this.#sendAsync(request);
  }

  // Step 4: the body, whose type goes into the headers.
  #extract(given) {
    const isText = typeof given === "string" || given.document !== undefined;
    const { body, type } = given.document === undefined ? extract(given) : { ...extract(given.document), type: given.type };
    const author = combined(this.#headers, "content-type");
    if (author === null) {
      if (type !== null) this.#headers.push(["Content-Type", type]);
    } else if (isText) {
      const mimeType = parseMimeType(author);
      const charset = mimeType?.parameters.get("charset");
      if (charset !== undefined && charset.toLowerCase() !== "utf-8") {
        mimeType.parameters.set("charset", "UTF-8");
        this.#headers.find(([name]) => name.toLowerCase() === "content-type")[1] = serializeMimeType(mimeType);
      }
    }
    return body;
  }

  // Step 11.
  #sendAsync(request) {
    const signal = newSignal();
    const bytes = request.body === null ? null : bytesNow(request.body);
    const fetch = this.#fetch = { signal, started: op_now(), timer: null };
    fireProgress(this, "loadstart", 0, 0);
    if (!this.#uploadComplete && this.#uploadListens) {
      this.#uploadLength = bytes.byteLength;
      fireProgress(this.#upload, "loadstart", 0, this.#uploadLength);
    }
    // Steps 11.4 and 11.5.
    if (this.#fetch !== fetch || this.#state !== OPENED || !this.#isSent) return;
    this.#startTimer();
    const useCorsPreflight = this.#uploadListens;
    this.#run(fetch, signal, (operation) => op_fetch(operation, { ...requestToHost(request), useCorsPreflight, initiator: "xmlhttprequest" }, bytes));
  }

  async #run(fetch, signal, start) {
    // Each step of the fetch is a task, which does nothing once another fetch has begun.
    const task = (steps) => new Promise((done) => {
      queueTask("networking", () => {
        try {
          if (this.#fetch === fetch) steps();
        } finally {
          done(this.#fetch === fetch);
        }
      });
    });
    try {
      const { head, body, wasSent } = await unlessAborted(signal, start);
      if (!(await task(() => {
        this.#processRequestEndOfBody(wasSent);
        this.#processResponse(head, body);
      }))) return;
      if (body === null) return;
      const chunks = chunksOf(keep("body", body), signal);
      for (let chunk = await chunks.next(); chunk !== null; chunk = await chunks.next()) {
        if (!(await task(() => this.#processBodyChunk(chunk)))) {
          chunks.cancel();
          return;
        }
      }
      await task(() => this.#handleEndOfBody());
    } catch {
      // processBodyError, and a network error.
      await task(() => this.#requestErrorSteps("error"));
    }
  }

  // A worker that answers is sent the body by nobody: only the network's progress is told.
  #processRequestEndOfBody(wasSent) {
    if (this.#uploadComplete) return;
    this.#uploadComplete = true;
    if (!this.#uploadListens || !wasSent) return;
    for (const type of ["progress", "load", "loadend"]) fireProgress(this.#upload, type, this.#uploadLength, this.#uploadLength, true);
  }

  #processResponse(head, body) {
    this.#setResponse({ ...head, isError: false, hasBody: body !== null });
    this.#state = HEADERS_RECEIVED;
    fireEvent(this, "readystatechange", true);
    if (this.#state === HEADERS_RECEIVED && body === null) this.#handleEndOfBody();
  }

  #processBodyChunk(chunk) {
    this.#pieces.push(chunk);
    this.#received += chunk.byteLength;
    this.#cache = {};
    if (this.#state !== HEADERS_RECEIVED && op_now() - this.#lastProgress < 50) return;
    this.#lastProgress = op_now();
    this.#state = LOADING;
    fireEvent(this, "readystatechange", true);
    if (this.#state !== LOADING) return;
    this.#told = this.#received;
    fireProgress(this, "progress", this.#received, this.#length(), true);
  }

  // Handle response end-of-body.
  #handleEndOfBody() {
    this.#end();
    const length = this.#length();
    // What the last chunk's event told is not told again.
    if (!this.#isSync && this.#told !== this.#received) fireProgress(this, "progress", this.#received, length, true);
    this.#state = DONE;
    this.#isSent = false;
    fireEvent(this, "readystatechange", !this.#isSync);
    fireProgress(this, "load", this.#received, length, !this.#isSync);
    fireProgress(this, "loadend", this.#received, length, !this.#isSync);
  }

  // The length that the response says it has, or 0.
  #length() {
    const { headers } = this.#response;
    return combined(headers, "content-encoding") === null ? extractLength(headers) : 0;
  }

  // Request error steps.
  #requestErrorSteps(event, exception = null) {
    this.#end();
    this.#state = DONE;
    this.#isSent = false;
    this.#setResponse(NETWORK_ERROR);
    if (this.#isSync) throw exception;
    fireEvent(this, "readystatechange");
    if (!this.#uploadComplete) {
      this.#uploadComplete = true;
      if (this.#uploadListens) {
        fireProgress(this.#upload, event, 0, 0);
        fireProgress(this.#upload, "loadend", 0, 0);
      }
    }
    fireProgress(this, event, 0, 0);
    fireProgress(this, "loadend", 0, 0);
  }

  // Step 12.
  #sendSync(request) {
    // What a window's synchronous request has of a timeout is none.
    const timeout = this.#timeout;
    const bytes = request.body === null ? null : bytesNow(request.body);
    let answer;
    try {
      answer = op_fetch_sync({ ...requestToHost(request), useCorsPreflight: this.#uploadListens }, bytes, timeout);
    } catch (error) {
      const { name, message } = fromOp(error);
      const exception = name === "TimeoutError" ? errorOf("TimeoutError", message) : errorOf("NetworkError", message);
      this.#requestErrorSteps(name === "TimeoutError" ? "timeout" : "error", exception);
      return;
    }
    this.#uploadComplete = true;
    this.#setResponse({ ...answer.head, isError: false, hasBody: answer.hasBody });
    this.#pieces = [answer.bytes];
    this.#received = answer.bytes.byteLength;
    this.#handleEndOfBody();
  }

  abort() {
    // Steps 1 to 3.
    const wasUnderWay = (this.#state === OPENED && this.#isSent) || this.#state === HEADERS_RECEIVED || this.#state === LOADING;
    this.#terminate();
    if (wasUnderWay) {
      this.#isSync = false;
      this.#requestErrorSteps("abort");
    }
    if (this.#state === DONE) {
      this.#state = UNSENT;
      this.#setResponse(NETWORK_ERROR);
    }
  }

  #mustBeOpened(what) {
    if (this.#state !== OPENED || this.#isSent) throw errorOf("InvalidStateError", `${what}: the request is not open, or has been sent`);
  }

  #setResponse(response) {
    this.#response = response;
    this.#pieces = [];
    this.#received = 0;
    this.#cache = {};
    this.#lastProgress = 0;
    this.#told = -1;
  }

  // The fetch is over.
  #end() {
    if (this.#fetch?.timer) clearTimeout(this.#fetch.timer);
    const fetch = this.#fetch;
    this.#fetch = null;
    return fetch;
  }

  #terminate() {
    const fetch = this.#end();
    if (fetch !== null) signalAbort(fetch.signal, undefined);
  }

  // Step 11.11: counts from the beginning of the fetch, also when it is set later.
  #startTimer() {
    const fetch = this.#fetch;
    if (fetch === null) return;
    if (fetch.timer !== null) clearTimeout(fetch.timer);
    fetch.timer = null;
    if (this.#timeout === 0) return;
    fetch.timer = setTimeout(() => {
      if (this.#fetch !== fetch) return;
      this.#terminate();
      this.#requestErrorSteps("timeout");
    }, Math.max(fetch.started + this.#timeout - op_now(), 0));
  }

  get responseURL() { return this.#response.urlList.length === 0 ? "" : this.#response.urlList.at(-1).replace(/#.*$/s, ""); }
  get status() { return this.#response.status; }
  get statusText() { return this.#response.statusText; }

  getResponseHeader(name) {
    this.#state;
    required(arguments.length, 1, "getResponseHeader");
    return combined(this.#response.headers, ByteString(name));
  }
  getAllResponseHeaders() { return headerText(this.#response.headers); }

  overrideMimeType(mime) {
    this.#state;
    required(arguments.length, 1, "overrideMimeType");
    const text = DOMString(mime);
    if (this.#state === LOADING || this.#state === DONE) throw errorOf("InvalidStateError", "The response is being received already");
    this.#overrideMimeType = parseMimeType(text) ?? parseMimeType("application/octet-stream");
  }

  get responseType() { return this.#responseType; }
  set responseType(value) {
    this.#state;
    const type = DOMString(value);
    if (!RESPONSE_TYPES.includes(type) || (!isWindow && type === "document")) return;
    if (this.#state === LOADING || this.#state === DONE) throw errorOf("InvalidStateError", "The response is being received already");
    if (isWindow && this.#isSync) throw errorOf("InvalidAccessError", "A synchronous request of a window has no response type");
    this.#responseType = type;
  }

  get response() {
    if (this.#responseType === "" || this.#responseType === "text") return this.#text();
    if (this.#state !== DONE || this.#response.isError) return null;
    if (!("object" in this.#cache)) this.#cache.object = responseOf(this.#responseType, this.#result());
    return this.#cache.object;
  }

  get responseText() {
    if (this.#responseType !== "" && this.#responseType !== "text") throw errorOf("InvalidStateError", "The response is not text");
    return this.#text();
  }

  #text() {
    if ((this.#state !== LOADING && this.#state !== DONE) || this.#response.isError) return "";
    return this.#cache.text ??= textOf(this.#result(), this.#responseType);
  }

  // All that is known of the response.
  #result() {
    const bytes = new Uint8Array(this.#received);
    let at = 0;
    for (const piece of this.#pieces) {
      bytes.set(piece, at);
      at += piece.byteLength;
    }
    this.#pieces = [bytes];
    const { headers, hasBody } = this.#response;
    return { bytes, headers, hasBody, overrideMimeType: this.#overrideMimeType, url: this.responseURL };
  }

  static {
    if (isWindow) {
      Object.defineProperty(this.prototype, "responseXML", Object.getOwnPropertyDescriptor({
        get responseXML() { return documentOf(this); },
      }, "responseXML"));
    }
    documentOf = (request) => {
      if (request.#responseType !== "" && request.#responseType !== "document") throw errorOf("InvalidStateError", "The response is not a document");
      if (request.#state !== DONE || request.#response.isError) return null;
      if (!("object" in request.#cache)) request.#cache.object = xmlOf(request.#result(), request.#responseType);
      return request.#cache.object;
    };
  }
}
idl(XMLHttpRequest, { constants: { UNSENT, OPENED, HEADERS_RECEIVED, LOADING, DONE } });
defineEventHandler(XMLHttpRequest, "readystatechange");

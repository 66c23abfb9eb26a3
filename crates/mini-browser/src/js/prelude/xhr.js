// XMLHttpRequest. (XMLHttpRequest, "Interface XMLHttpRequest".)

import { op_fetch, op_fetch_sync, op_now, op_resolve_blob } from "ops";
import { newSignal, signalAbort } from "./abort.js";
import { bytesNow } from "./body.js";
import { queueTask } from "./event_loop.js";
import { defineEventHandler, fireEvent, typesOf } from "./events.js";
import { chunksOf, unlessAborted } from "./fetch.js";
import { isForbiddenRequestHeader, normalize } from "./headers.js";
import { keep } from "./kept.js";
import { parseMimeType } from "./mime_type.js";
import { fireProgress } from "./progress_event.js";
import { global, windowProxy } from "./realms.js";
import { requestOver, requestToHost } from "./request.js";
import { clearTimeout, setTimeout } from "./timers.js";
import { ByteString, DOMString, HOST, USVString, errorOf, fromOp, idl, required } from "./webidl.js";
import { XMLHttpRequestEventTarget, newUpload } from "./xhr_event_targets.js";
import { Received } from "./xhr_received.js";
import { TOKEN, extractBody, givenBody, openedMethod, openedUrl } from "./xhr_request.js";

const UNSENT = 0, OPENED = 1, HEADERS_RECEIVED = 2, LOADING = 3, DONE = 4;
const RESPONSE_TYPES = ["", "arraybuffer", "blob", "document", "json", "text"];

const isWindow = windowProxy !== global;
let documentOf;

export class XMLHttpRequest extends XMLHttpRequestEventTarget {
  #upload = newUpload();
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
  #response = new Received();
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
    // Steps 2 to 8.
    method = openedMethod(method);
    const href = openedUrl(url, user, pass);
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
    this.#setResponse(new Received());
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
    const given = givenBody(body);
    // Steps 1 to 3.
    this.#mustBeOpened("send");
    const isIgnored = given === null || this.#method === "GET" || this.#method === "HEAD";
    // Step 4.
    const extracted = isIgnored ? null : extractBody(given, this.#headers);
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
    this.#setResponse(new Received(head, body !== null));
    this.#state = HEADERS_RECEIVED;
    fireEvent(this, "readystatechange", true);
    if (this.#state === HEADERS_RECEIVED && body === null) this.#handleEndOfBody();
  }

  #processBodyChunk(chunk) {
    this.#response.add(chunk);
    if (this.#state !== HEADERS_RECEIVED && op_now() - this.#lastProgress < 50) return;
    this.#lastProgress = op_now();
    this.#state = LOADING;
    fireEvent(this, "readystatechange", true);
    if (this.#state !== LOADING) return;
    this.#told = this.#response.length;
    fireProgress(this, "progress", this.#response.length, this.#response.wholeLength, true);
  }

  // Handle response end-of-body.
  #handleEndOfBody() {
    this.#end();
    const length = this.#response.wholeLength;
    // What the last chunk's event told is not told again.
    if (!this.#isSync && this.#told !== this.#response.length) fireProgress(this, "progress", this.#response.length, length, true);
    this.#state = DONE;
    this.#isSent = false;
    fireEvent(this, "readystatechange", !this.#isSync);
    fireProgress(this, "load", this.#response.length, length, !this.#isSync);
    fireProgress(this, "loadend", this.#response.length, length, !this.#isSync);
  }

  // Request error steps.
  #requestErrorSteps(event, exception = null) {
    this.#end();
    this.#state = DONE;
    this.#isSent = false;
    this.#setResponse(new Received());
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
    this.#setResponse(new Received(answer.head, answer.hasBody));
    this.#response.add(answer.bytes);
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
      this.#setResponse(new Received());
    }
  }

  #mustBeOpened(what) {
    if (this.#state !== OPENED || this.#isSent) throw errorOf("InvalidStateError", `${what}: the request is not open, or has been sent`);
  }

  #setResponse(response) {
    this.#response = response;
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

  get responseURL() { return this.#response.url; }
  get status() { return this.#response.status; }
  get statusText() { return this.#response.statusText; }

  getResponseHeader(name) {
    this.#state;
    required(arguments.length, 1, "getResponseHeader");
    return this.#response.header(ByteString(name));
  }
  getAllResponseHeaders() { return this.#response.headerText; }

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
    return this.#response.object(this.#responseType, this.#overrideMimeType);
  }

  get responseText() {
    if (this.#responseType !== "" && this.#responseType !== "text") throw errorOf("InvalidStateError", "The response is not text");
    return this.#text();
  }

  #text() {
    if ((this.#state !== LOADING && this.#state !== DONE) || this.#response.isError) return "";
    return this.#response.text(this.#responseType, this.#overrideMimeType);
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
      return request.#response.document(request.#responseType, request.#overrideMimeType);
    };
  }
}
idl(XMLHttpRequest, { constants: { UNSENT, OPENED, HEADERS_RECEIVED, LOADING, DONE } });
defineEventHandler(XMLHttpRequest, "readystatechange");

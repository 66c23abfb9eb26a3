// What XMLHttpRequest fetches. (XMLHttpRequest, "The send() method", "The abort() method".)

import { op_fetch_sync, op_now } from "ops";
import { newSignal, signalAbort } from "./abort.js";
import { bodyInit, bodyOf, chunksOfBody, extract, takeBytes } from "./body.js";
import { brands } from "./brands.js";
import { fireEvent, hasListener } from "./events.js";
import { responseFrom } from "./fetch.js";
import { append, combined, headersState } from "./headers.js";
import { parseMimeType, serializeMimeType } from "./mime_type.js";
import { fireProgress } from "./progress_event.js";
import { initialRequest, requestToHost } from "./request.js";
import { responseOf } from "./response.js";
import { clearTimeout, setTimeout } from "./timers.js";
import { errorOf, fromOp, load } from "./webidl.js";
import { networkError } from "./xhr_response.js";

const UNSENT = 0, OPENED = 1, HEADERS_RECEIVED = 2, LOADING = 3, DONE = 4;
const UPLOAD_EVENTS = ["loadstart", "progress", "abort", "error", "load", "timeout", "loadend"];
// How often progress is told, in milliseconds.
const PROGRESS = 50;

export function setState(xhr, state) {
  xhr.state = state;
  fireEvent(xhr.object, "readystatechange");
}

// Terminates the ongoing fetch.
export function terminate(xhr) {
  clearTimeout(xhr.timer);
  xhr.timer = null;
  const { controller } = xhr;
  xhr.controller = null;
  if (controller !== null) signalAbort(controller.signal, undefined);
}

// (Document or XMLHttpRequestBodyInit)?, converted: `{ init, document }` or null.
export function convertBody(xhr, given) {
  if (given === null || given === undefined) return null;
  const document = xhr.isWindow ? load("dom/parsing_apis.js").documentAsBody(given) : null;
  const init = document === null ? bodyInit(brands.isReadableStream(given) ? `${given}` : given) : document.text.toWellFormed();
  return { init, document };
}

// send(), from step 3 on.
export function send(xhr, given) {
  const body = requestBody(xhr, given);
  // Step 5.
  xhr.uploadListener = UPLOAD_EVENTS.some((type) => hasListener(xhr.upload, type));
  // Step 6.
  const request = {
    ...initialRequest(xhr.url),
    method: xhr.method,
    headers: headersState(xhr.headers).list,
    body,
    mode: "cors",
    credentials: xhr.crossOriginCredentials ? "include" : "same-origin",
    useCorsPreflight: xhr.uploadListener,
  };
  // Steps 7 to 10.
  xhr.uploadComplete = body === null;
  xhr.timedOut = false;
  xhr.sendFlag = true;
  xhr.started = op_now();
  if (xhr.synchronous) sendAndWait(xhr, request);
  else sendAsync(xhr, request);
}

// Steps 3 and 4: the body, with its Content-Type.
function requestBody(xhr, given) {
  if (given === null || xhr.method === "GET" || xhr.method === "HEAD") return null;
  const { init, document } = given;
  const isText = typeof init === "string";
  const extracted = extract(init);
  const state = headersState(xhr.headers);
  const author = combined(state.list, "content-type");
  if (author === null) {
    const type = document === null ? extracted.type : document.type;
    if (type !== null) append(state, "Content-Type", type);
  } else if (isText) {
    const type = parseMimeType(author);
    if (type !== null && type.parameters.has("charset") && type.parameters.get("charset").toLowerCase() !== "utf-8") {
      type.parameters.set("charset", "UTF-8");
      const [pair] = state.list.filter(([name]) => name.toLowerCase() === "content-type");
      pair[1] = serializeMimeType(type);
    }
  }
  return extracted.body;
}

// Step 11.
function sendAsync(xhr, request) {
  const { object, upload } = xhr;
  const controller = { signal: newSignal(), isCurrent: () => xhr.controller === controller };
  xhr.controller = controller;
  fireProgress(object, "loadstart", 0, 0);
  const { body } = request;
  takeBytes(body).then((bytes) => {
    if (!controller.isCurrent()) return;
    const length = bytes === null ? 0 : bytes.byteLength;
    // The body is whole, and is sent whole.
    if (bytes !== null) request.body = bodyOf(bytes);
    run(xhr, request, controller, length);
  }, () => {
    if (controller.isCurrent()) failed(xhr);
  });
  // The listeners of this come before the fetch.
  if (!xhr.uploadComplete && xhr.uploadListener) fireProgress(upload, "loadstart", 0, bodyLength(body));
  if (controller.isCurrent()) timeoutChanged(xhr);
}

const bodyLength = (body) => body?.bytes?.byteLength ?? 0;

async function run(xhr, request, controller, uploadLength) {
  let response;
  try {
    response = responseOf(await responseFrom(request, controller.signal));
  } catch {
    if (controller.isCurrent()) failed(xhr);
    return;
  }
  if (!controller.isCurrent()) return;
  uploadEnded(xhr, uploadLength);
  if (!controller.isCurrent()) return;
  // processResponse.
  xhr.response = response;
  setState(xhr, HEADERS_RECEIVED);
  if (!controller.isCurrent() || xhr.state !== HEADERS_RECEIVED) return;
  const length = contentLength(response);
  // How many bytes the last progress event told of.
  let told = -1;
  if (response.body !== null) {
    let last = -Infinity;
    const chunks = chunksOfBody(response.body);
    for (;;) {
      let chunk;
      try {
        chunk = await chunks.next();
      } catch {
        if (controller.isCurrent()) failed(xhr);
        return;
      }
      if (!controller.isCurrent()) return;
      if (chunk === null) break;
      if (chunk.byteLength === 0) continue;
      // processBodyChunk.
      xhr.received.push(chunk);
      xhr.receivedLength += chunk.byteLength;
      if (op_now() - last < PROGRESS) continue;
      last = op_now();
      told = xhr.receivedLength;
      if (xhr.state === HEADERS_RECEIVED) xhr.state = LOADING;
      fireEvent(xhr.object, "readystatechange");
      if (controller.isCurrent()) fireProgress(xhr.object, "progress", xhr.receivedLength, length);
      if (!controller.isCurrent()) return;
    }
  }
  responseEnded(xhr, length, told);
}

// processRequestEndOfBody.
function uploadEnded(xhr, length) {
  if (xhr.uploadComplete) return;
  xhr.uploadComplete = true;
  if (!xhr.uploadListener) return;
  const { upload, controller } = xhr;
  for (const type of ["progress", "load", "loadend"]) {
    if (xhr.controller === controller) fireProgress(upload, type, length, length);
  }
}

// Handle response end-of-body.
function responseEnded(xhr, length, told = -1) {
  const { object, receivedLength } = xhr;
  clearTimeout(xhr.timer);
  xhr.timer = null;
  const { controller } = xhr;
  if (!xhr.synchronous && told !== receivedLength) fireProgress(object, "progress", receivedLength, length);
  if (xhr.controller !== controller) return;
  xhr.controller = null;
  xhr.sendFlag = false;
  setState(xhr, DONE);
  // A listener may have opened it anew.
  if (xhr.state !== DONE || xhr.sendFlag) return;
  fireProgress(object, "load", receivedLength, length);
  fireProgress(object, "loadend", receivedLength, length);
}

// *Extract a length*; 0 for none.
function contentLength({ headers }) {
  const value = combined(headers, "content-length");
  return value !== null && /^[0-9]+$/.test(value) ? Number(value) : 0;
}

// Handle errors: why the fetch failed.
function failed(xhr) {
  terminate(xhr);
  if (xhr.timedOut) requestError(xhr, "timeout", errorOf("TimeoutError", "The request took too long"));
  else requestError(xhr, "error", errorOf("NetworkError", "The request failed"));
}

// The request error steps.
function requestError(xhr, event, exception = undefined) {
  xhr.state = DONE;
  xhr.sendFlag = false;
  xhr.response = networkError();
  xhr.received = [];
  xhr.receivedLength = 0;
  if (xhr.synchronous && exception !== undefined) throw exception;
  fireEvent(xhr.object, "readystatechange");
  if (!xhr.uploadComplete) {
    xhr.uploadComplete = true;
    if (xhr.uploadListener) {
      fireProgress(xhr.upload, event, 0, 0);
      fireProgress(xhr.upload, "loadend", 0, 0);
    }
  }
  fireProgress(xhr.object, event, 0, 0);
  fireProgress(xhr.object, "loadend", 0, 0);
}

// abort().
export function abort(xhr) {
  terminate(xhr);
  if ((xhr.state === OPENED && xhr.sendFlag) || xhr.state === HEADERS_RECEIVED || xhr.state === LOADING) requestError(xhr, "abort");
  if (xhr.state === DONE) {
    xhr.state = UNSENT;
    xhr.response = networkError();
    xhr.received = [];
    xhr.receivedLength = 0;
  }
}

// The timeout counts from the start of the fetch, also if it is set later.
export function timeoutChanged(xhr) {
  clearTimeout(xhr.timer);
  xhr.timer = null;
  if (xhr.controller === null || xhr.timeout === 0) return;
  const { controller } = xhr;
  xhr.timer = setTimeout(() => {
    if (!controller.isCurrent()) return;
    xhr.timedOut = true;
    failed(xhr);
  }, Math.max(0, xhr.started + xhr.timeout - op_now()));
}

// Step 12: the agent waits.
function sendAndWait(xhr, request) {
  const { body } = request;
  const bytes = body === null ? null : body.bytes;
  let head, received;
  try {
    [head, received = null] = op_fetch_sync(requestToHost(request), bytes, xhr.timeout);
  } catch (error) {
    const { name } = fromOp(error);
    xhr.timedOut = name === "TimeoutError";
    failed(xhr);
    return;
  }
  xhr.uploadComplete = true;
  xhr.response = { ...head, body: received === null ? null : {} };
  if (received !== null) {
    xhr.received = [received];
    xhr.receivedLength = received.byteLength;
  }
  responseEnded(xhr, contentLength(xhr.response));
}

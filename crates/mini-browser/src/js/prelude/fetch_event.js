// FetchEvent and its dispatch. (Service Workers, "FetchEvent", "Handle Fetch".)

import {
  op_answer, op_answer_body, op_answer_chunk, op_answer_end, op_answer_read, op_console, op_describe_error, op_fetch_aborted, op_load,
  op_preload_response, op_settled,
} from "ops";
import { ExtendableEvent, addLifetimePromise, dispatchExtendable, isDispatching, promiseOf, react } from "./extendable.js";
import { rejectedWith } from "./promises.js";
import { USVString, callAsync, dictionary, errorOf, fromOp, idl, required } from "./webidl.js";

// `onAnswer(event, enter, answer)`: `enter` is called by respondWith, and `answer` with what its
// promise settles to, as `(response)` or `(undefined, error, true)`.
let onAnswer, isAnswered;

const noEvent = () => new TypeError("this is no FetchEvent");

export class FetchEvent extends ExtendableEvent {
  #init;
  #entered = false;
  #enter = null;
  #answer = null;
  #handled;

  constructor(type, init) {
    required(arguments.length, 2, "FetchEvent");
    super(type, init);
    const { request, preloadResponse, clientId = "", resultingClientId = "", replacesClientId = "", isFallThrough = false, origin = "", handled } = dictionary(init, "The event's init");
    if (request === undefined) throw new TypeError("FetchEvent: the member 'request' is required");
    if (!op_load("request.js").isRequest(request)) throw new TypeError("FetchEvent: the member 'request' is not a Request");
    this.#init = {
      request,
      preloadResponse: preloadResponse ?? Promise.resolve(undefined),
      clientId: USVString(clientId),
      resultingClientId: USVString(resultingClientId),
      replacesClientId: USVString(replacesClientId),
      isFallThrough: !!isFallThrough,
      origin: USVString(origin),
    };
    this.#handled = handled ?? new Promise(() => {});
  }
  get request() { return this.#init.request; }
  get preloadResponse() { return #init in this ? this.#init.preloadResponse : rejectedWith(noEvent()); }
  get clientId() { return this.#init.clientId; }
  get resultingClientId() { return this.#init.resultingClientId; }
  get replacesClientId() { return this.#init.replacesClientId; }
  get isFallThrough() { return this.#init.isFallThrough; }
  get origin() { return this.#init.origin; }
  get handled() { return #handled in this ? this.#handled : rejectedWith(noEvent()); }

  respondWith(r) {
    required(arguments.length, 1, "respondWith");
    // Step 2: if event's dispatch flag is unset …
    if (!isDispatching(this)) throw errorOf("InvalidStateError", "respondWith: only while the event is dispatched");
    // Step 3: if event's respond-with entered flag is set …
    if (this.#entered) throw errorOf("InvalidStateError", "respondWith was called already");
    const promise = promiseOf(r);
    // Step 4: add lifetime promise r to event.
    addLifetimePromise(this, promise);
    // Steps 5 to 7.
    this.stopPropagation();
    this.stopImmediatePropagation();
    this.#entered = true;
    // Told at once: from here on a death is a network error, and no request for the network.
    this.#enter?.();
    // Steps 8 and 9.
    react(promise, (response) => this.#answer?.(response), (error) => this.#answer?.(undefined, error, true));
  }

  static {
    onAnswer = (event, enter, answer) => { event.#enter = enter; event.#answer = answer; };
    isAnswered = (event) => event.#entered;
  }
}
idl(FetchEvent);

// Sends the body of the response: in one piece if it has no stream, else chunk by chunk as the client takes them.
async function sendBody(id, body) {
  if (body.stream === undefined) {
    op_answer_body(id, await op_load("body.js").takeBytes(body));
  } else {
    const { cancelStream, forEachChunk } = op_load("streams/body_streams.js");
    // Who stops reading cancels the stream, also while that has nothing to give.
    react(callAsync(op_answer_read, id), () => cancelStream(body.stream, errorOf("AbortError", "the client reads no more")), () => {});
    await forEachChunk(body.stream, (chunk) => callAsync(op_answer_chunk, id, chunk));
    op_answer_end(id, null);
  }
}

// The body of the request: its bytes, or what the host keeps of a stream.
function requestBody(bytes, stream) {
  if (bytes !== null && bytes !== undefined) return op_load("body.js").bodyOf(bytes);
  if (stream === null) return null;
  return Object.assign(op_load("fetch.js").hostBody(stream.id, null), { isStream: stream.isStream });
}

// A promise of the navigation preload's response.
async function preload(id, url) {
  const { head, body } = await callAsync(op_preload_response, id, url);
  return op_load("response.js").responseFromHost(head, op_load("fetch.js").hostBody(body, null));
}

// Dispatches a fetch event; it is answered by op_answer, and over at op_settled.
export function dispatchFetch(id, detail, bytes) {
  const { requestFromHost } = op_load("request.js");
  let handle, fail;
  const handled = new Promise((resolve, reject) => { handle = resolve; fail = reject; });
  react(handled, () => {}, () => {});
  const { head, clientId, resultingClientId, replacesClientId, isFallThrough, origin, stream, isPreloaded } = detail;
  // A client that aborts is followed by the request's signal.
  const watch = (signal) => react(callAsync(op_fetch_aborted, id), (aborted) => {
    if (aborted) op_load("abort.js").signalAbort(signal, undefined);
  }, () => {});
  const request = requestFromHost(head, requestBody(bytes, stream), watch);
  const preloadResponse = isPreloaded ? preload(id, request.url) : undefined;
  if (isPreloaded) react(preloadResponse, () => {}, () => {});
  const event = new FetchEvent("fetch", {
    cancelable: true, request, preloadResponse, clientId, resultingClientId, replacesClientId,
    isFallThrough, origin, handled,
  });
  const refuse = (why) => {
    op_console("error", `fetch event for ${head.url}: ${why}`);
    op_answer(id, "failed", null, why, null, null);
    fail(new TypeError(why));
  };
  onAnswer(event, () => op_answer(id, "entered", null, null, null, null), (response, error, rejected) => {
    if (rejected) return refuse(`the promise of respondWith was rejected: ${op_describe_error(error)}`);
    const { isResponse, responseToHost } = op_load("response.js");
    if (!isResponse(response)) return refuse("respondWith was given something that is not a Response");
    if (response.bodyUsed || response.body?.locked) return refuse("respondWith was given a Response whose body is used already");
    const { head, body } = responseToHost(response);
    const { takeHostBody, takeBytesNow } = op_load("body.js");
    // What the host keeps of a body that no script has touched needs no way through the worker; bytes that
    // are there go along.
    const hostBody = body === null ? null : takeHostBody(body);
    const bytes = hostBody === null ? takeBytesNow(body) : null;
    try {
      op_answer(id, "response", head, null, hostBody, bytes);
    } catch (error) {
      return refuse(fromOp(error).message);
    }
    handle();
    // Else it follows.
    if (hostBody === null && bytes === null) {
      react(sendBody(id, body), () => {}, (error) => op_answer_end(id, op_describe_error(error)));
    }
  });
  const after = () => {
    if (isAnswered(event)) return;
    if (event.defaultPrevented) {
      op_answer(id, "canceled", null, null, null, null);
      fail(new TypeError("the request was canceled"));
    } else {
      op_answer(id, "unhandled", null, null, null, null);
      handle();
    }
  };
  dispatchExtendable(event, (failure) => op_settled(id, failure), after);
}

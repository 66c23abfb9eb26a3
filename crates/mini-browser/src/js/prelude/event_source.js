// EventSource. (HTML, "Server-sent events".)

import { op_fetch, op_request_url, op_url_parse, op_utf8_encode } from "ops";
import { newSignal, signalAbort } from "./abort.js";
import { queueTask } from "./event_loop.js";
import { eventStreamParser } from "./event_stream.js";
import { EventTarget, defineEventHandler, fire, fireEvent } from "./events.js";
import { chunksOf, unlessAborted } from "./fetch.js";
import { keep } from "./kept.js";
import { newMessageEvent } from "./message_event.js";
import { extractMimeType } from "./mime_type.js";
import { requestOver, requestToHost } from "./request.js";
import { setTimeout } from "./timers.js";
import { USVString, dictionary, errorOf, idl, required } from "./webidl.js";

const CONNECTING = 0, OPEN = 1, CLOSED = 2;
// The reconnection time of a source whose stream has set none, and the longest one, in milliseconds.
const RECONNECTION_TIME = 3000;
const LONGEST_TIME = 2 ** 31 - 1;

export class EventSource extends EventTarget {
  #url;
  #withCredentials;
  #readyState = CONNECTING;
  #lastEventId = "";
  #reconnectionTime = RECONNECTION_TIME;
  // What ends the fetch that goes on.
  #signal = null;

  constructor(url, eventSourceInitDict = undefined) {
    required(arguments.length, 1, "EventSource");
    const input = USVString(url);
    const { withCredentials } = dictionary(eventSourceInitDict, "EventSourceInit");
    super();
    // Steps 2 to 6.
    const parsed = op_request_url(input);
    if (parsed === null) throw errorOf("SyntaxError", `EventSource: ${JSON.stringify(input)} is not a valid URL`);
    this.#url = parsed.href;
    this.#withCredentials = !!withCredentials;
    // Step 15.
    this.#connect();
  }

  get url() { return this.#url; }
  get withCredentials() { return this.#withCredentials; }
  get readyState() { return this.#readyState; }

  close() {
    this.#readyState = CLOSED;
    if (this.#signal !== null) signalAbort(this.#signal, undefined);
  }

  // Steps 8 to 15: the fetch, its response, and the end of its body.
  async #connect() {
    const headers = [["Accept", "text/event-stream"]];
    if (this.#lastEventId !== "") headers.push(["Last-Event-ID", byteString(this.#lastEventId)]);
    const request = requestOver({
      urlList: [this.#url], headers, mode: "cors", credentials: this.#withCredentials ? "include" : "same-origin", cache: "no-store",
    });
    const signal = this.#signal = newSignal();
    try {
      const { head, body } = await unlessAborted(signal, (operation) => op_fetch(operation, requestToHost(request), null));
      if (head.status !== 200 || extractMimeType(head.headers)?.essence !== "text/event-stream") {
        if (body !== null) chunksOf(keep("body", body), signal).cancel();
        this.#fail();
        return;
      }
      this.#announce();
      if (body !== null) await this.#read(chunksOf(keep("body", body), signal), op_url_parse(head.urlList.at(-1), null).origin);
    } catch {
      // A network error, or the abort of close(): nothing is reestablished once this is closed.
    }
    this.#reestablish();
  }

  async #read(chunks, origin) {
    const parser = eventStreamParser(this.#lastEventId, {
      // Dispatch the event, step 8.
      onEvent: ({ type, data }) => {
        const { lastEventId } = parser;
        this.#task(() => {
          this.#lastEventId = lastEventId;
          fire(newMessageEvent(type, data, origin, null, null, undefined, lastEventId), this);
        });
      },
      onRetry: (time) => { this.#reconnectionTime = Math.min(time, LONGEST_TIME); },
    });
    for (let chunk = await chunks.next(); chunk !== null; chunk = await chunks.next()) {
      if (this.#readyState === CLOSED) return;
      parser.push(chunk);
    }
    this.#task(() => { this.#lastEventId = parser.lastEventId; });
  }

  // Announce the connection.
  #announce() {
    this.#task(() => {
      this.#readyState = OPEN;
      fireEvent(this, "open");
    });
  }

  // Fail the connection.
  #fail() {
    this.#task(() => {
      this.#readyState = CLOSED;
      fireEvent(this, "error");
    });
  }

  // Reestablish the connection.
  #reestablish() {
    this.#task(() => {
      this.#readyState = CONNECTING;
      fireEvent(this, "error");
      setTimeout(() => {
        if (this.#readyState === CONNECTING) this.#connect();
      }, this.#reconnectionTime);
    });
  }

  // Queues a task that does nothing once this is closed.
  #task(steps) {
    queueTask("networking", () => {
      if (this.#readyState !== CLOSED) steps();
    });
  }
}
// The UTF-8 of a text, as headers have bytes.
function byteString(text) {
  return Array.from(op_utf8_encode(text), (byte) => String.fromCharCode(byte)).join("");
}

idl(EventSource, { constants: { CONNECTING, OPEN, CLOSED } });
for (const type of ["open", "message", "error"]) defineEventHandler(EventSource, type);

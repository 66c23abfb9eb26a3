// The parser of text/event-stream. (HTML, "Parsing an event stream" and "Interpreting an event stream".)

import { op_load } from "ops";
import { utf8Decode } from "./encoding.js";

const LF = 10, CR = 13;

// A parser: `onEvent({ type, data })` for each event, `onRetry(milliseconds)` for each reconnection time.
// `lastEventId` is what the stream has set so far. What follows the last empty line is dropped.
export function eventStreamParser(lastEventId, { onEvent, onRetry }) {
  const parser = { lastEventId, push };
  // The bytes of a line that goes on, and whether a line feed would belong to the line before.
  let pieces = [];
  let afterReturn = false;
  let isFirst = true;
  let data = [];
  let type = "";
  let id = lastEventId;

  // Line terminators are ASCII, so that each line can be decoded alone.
  function push(chunk) {
    let start = 0;
    for (let at = 0; at < chunk.byteLength; at++) {
      const byte = chunk[at];
      if (byte !== LF && byte !== CR) {
        afterReturn = false;
        continue;
      }
      if (byte === LF && afterReturn) {
        afterReturn = false;
      } else {
        afterReturn = byte === CR;
        line(chunk.subarray(start, at));
      }
      start = at + 1;
    }
    if (start < chunk.byteLength) pieces.push(chunk.slice(start));
  }

  function line(last) {
    const bytes = pieces.length === 0 ? last : joined([...pieces, last]);
    pieces = [];
    // The stream's first line may begin with a byte order mark.
    const text = isFirst ? utf8Decode(bytes) : op_load("encoding.js").utf8DecodeWithoutBOM(bytes);
    isFirst = false;
    if (text === "") return dispatch();
    const colon = text.indexOf(":");
    if (colon === 0) return;
    if (colon === -1) return field(text, "");
    field(text.slice(0, colon), text.slice(colon + (text[colon + 1] === " " ? 2 : 1)));
  }

  // Process the field.
  function field(name, value) {
    switch (name) {
      case "event":
        type = value;
        break;
      case "data":
        data.push(value);
        break;
      case "id":
        if (!value.includes("\0")) id = value;
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) onRetry(Number(value));
        break;
    }
  }

  // Dispatch the event, steps 1 to 7.
  function dispatch() {
    parser.lastEventId = id;
    const event = { type: type === "" ? "message" : type, data: data.join("\n") };
    const isEmpty = data.length === 0;
    data = [];
    type = "";
    if (!isEmpty) onEvent(event);
  }

  return parser;
}

function joined(pieces) {
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

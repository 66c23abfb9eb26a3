// WritableStream. (Streams, "Writable streams"; the abstract operations of streams are in writable_ops.js.)

import { op_set_hook } from "ops";
import { foreign } from "../brands.js";
import { promising, rejectedWith } from "../promises.js";
import { HOST, dictionary, idl } from "../webidl.js";
import { callbacksOf, extractHighWaterMark, extractSizeAlgorithm, queuingStrategy } from "./queue.js";
import { setUpFromUnderlyingSink } from "./writable_controller.js";
import { abort, close, closeQueuedOrInFlight, initialize, isLocked, newWritable } from "./writable_ops.js";
import { acquireWriter } from "./writable_writer.js";
import { makeTransferable } from "./transfer.js";

let recordOf, isOwn, adopt;

export class WritableStream {
  #stream = initialize();

  constructor(underlyingSink = undefined, strategy = undefined) {
    if (underlyingSink === HOST) {
      this.#stream = strategy;
      strategy.object = this;
      return;
    }
    if (underlyingSink !== undefined && (typeof underlyingSink !== "object" || underlyingSink === null) && typeof underlyingSink !== "function") {
      throw new TypeError("WritableStream: the underlying sink is not an object");
    }
    const converted = queuingStrategy(strategy);
    // Steps 1 and 2.
    const sink = underlyingSink === undefined ? null : underlyingSink;
    const { abort, close, start, type, write } = underlyingSinkOf(sink);
    // Step 3.
    if (type !== undefined) throw new RangeError("WritableStream: the underlying sink's type is reserved");
    // Steps 4 to 7.
    const stream = this.#stream;
    stream.object = this;
    const sizeAlgorithm = extractSizeAlgorithm(converted);
    const highWaterMark = extractHighWaterMark(converted, 1);
    setUpFromUnderlyingSink(stream, sink, { abort, close, start, write }, highWaterMark, sizeAlgorithm);
  }

  get locked() { return isLocked(recordOf(this)); }
  abort(reason = undefined) {
    return promising(() => {
      const stream = recordOf(this);
      if (isLocked(stream)) return rejectedWith(new TypeError("abort: the stream is locked"));
      return abort(stream, reason);
    });
  }
  close() {
    return promising(() => {
      const stream = recordOf(this);
      if (isLocked(stream)) return rejectedWith(new TypeError("close: the stream is locked"));
      if (closeQueuedOrInFlight(stream)) return rejectedWith(new TypeError("close: the stream is closing already"));
      return close(stream);
    });
  }
  getWriter() { return acquireWriter(recordOf(this)); }

  static {
    isOwn = (value) => typeof value === "object" && value !== null && #stream in value;
    recordOf = (value) => (isOwn(value) ? value.#stream : writableOf(value, "The value"));
    op_set_hook("writable stream", (value) => (isOwn(value) ? value.#stream : null));
    adopt = (stream) => Reflect.construct(WritableStream, [HOST, stream]);
  }
}
idl(WritableStream);

function underlyingSinkOf(sink) {
  if (sink === null) return { __proto__: null };
  const { abort, close, start } = callbacksOf(sink, ["abort", "close", "start"], "The underlying sink");
  const { type } = dictionary(sink);
  const { write } = callbacksOf(sink, ["write"], "The underlying sink");
  return { abort, close, start, type, write };
}

// The stream behind a WritableStream object; throws for anything else.
export function writableOf(value, what) {
  const stream = isOwn(value) ? recordOf(value) : foreign("writable stream", value);
  if (stream === null) throw new TypeError(`${what} is not a WritableStream`);
  return stream;
}

// The object of a stream, made when a script first sees it.
export const writableObject = (stream) => stream.object ?? adopt(stream);

// CreateWritableStream.
export { newWritable };

makeTransferable(WritableStream, "WritableStream", isOwn, recordOf, writableObject);

// FileReader. (File API, "The FileReader API".)

import { blobBytes, isBlob } from "./blob.js";
import { queueTask } from "./event_loop.js";
import { EventTarget, defineEventHandler } from "./events.js";
import { packageData } from "./package_data.js";
import { fireProgress } from "./progress_event.js";
import { DOMString, errorOf, idl, required } from "./webidl.js";

const EMPTY = 0, LOADING = 1, DONE = 2;

export class FileReader extends EventTarget {
  #state = EMPTY;
  #result = null;
  #error = null;
  // The read operation that is going on: an object of its own, so that one that was aborted is told apart.
  #operation = null;

  readAsArrayBuffer(blob) {
    required(arguments.length, 1, "readAsArrayBuffer");
    this.#read(blobOf(blob), "ArrayBuffer");
  }
  readAsBinaryString(blob) {
    required(arguments.length, 1, "readAsBinaryString");
    this.#read(blobOf(blob), "BinaryString");
  }
  readAsText(blob, encoding = undefined) {
    required(arguments.length, 1, "readAsText");
    this.#read(blobOf(blob), "Text", encoding === undefined ? null : DOMString(encoding));
  }
  readAsDataURL(blob) {
    required(arguments.length, 1, "readAsDataURL");
    this.#read(blobOf(blob), "DataURL");
  }

  abort() {
    // Step 1.
    if (this.#state !== LOADING) {
      this.#result = null;
      return;
    }
    // Steps 2 to 4: tasks of an operation that is not this one's any more do nothing.
    this.#state = DONE;
    this.#result = null;
    this.#operation = null;
    // Steps 5 and 6.
    fireProgress(this, "abort", 0, 0);
    if (this.#state !== LOADING) fireProgress(this, "loadend", 0, 0);
  }

  get readyState() { return this.#state; }
  get result() { return this.#result; }
  get error() { return this.#error; }

  // Read operation. All bytes are there at once: they are one chunk, or none.
  #read(blob, type, encodingName = null) {
    // Steps 1 to 4.
    if (this.#state === LOADING) throw errorOf("InvalidStateError", "The FileReader is reading already");
    this.#state = LOADING;
    this.#result = null;
    this.#error = null;
    const operation = this.#operation = {};
    const { type: mimeType } = blob;
    const bytes = blobBytes(blob).slice();
    const { byteLength: length } = bytes;
    const task = (steps) => queueTask("file-reading", () => { if (this.#operation === operation) steps(); });
    // Step 10.
    task(() => fireProgress(this, "loadstart", 0, length, true));
    if (length > 0) task(() => fireProgress(this, "progress", length, length, true));
    task(() => {
      this.#state = DONE;
      this.#operation = null;
      let event = "load";
      try {
        this.#result = packageData(bytes, type, mimeType, encodingName);
      } catch {
        this.#error = errorOf("NotReadableError", "The blob does not fit into a result");
        event = "error";
      }
      fireProgress(this, event, length, length, true);
      if (this.#state !== LOADING) fireProgress(this, "loadend", length, length, true);
    });
  }
}
idl(FileReader, { constants: { EMPTY, LOADING, DONE } });
for (const type of ["loadstart", "progress", "load", "abort", "error", "loadend"]) defineEventHandler(FileReader, type);

function blobOf(value) {
  if (!isBlob(value)) throw new TypeError("FileReader: the argument is not a Blob");
  return value;
}

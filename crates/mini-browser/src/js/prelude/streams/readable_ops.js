// Abstract operations of readable streams. (Streams, "Working with readable streams" and "Interfacing with
// controllers".) A stream and a reader here are records with the standard's internal slots.

import { newPromise, react, rejectedWith, resolvedWith, setHandled } from "../promises.js";
import { setUpByteController } from "./byte_controller.js";
import { setUpDefaultController } from "./default_controller.js";

// InitializeReadableStream.
export function initialize() {
  return { object: undefined, state: "readable", reader: undefined, storedError: undefined, disturbed: false, controller: undefined };
}

// CreateReadableStream; the algorithms are `{ start, pull, cancel }`.
export function newReadable(algorithms, highWaterMark = 1, sizeAlgorithm = () => 1) {
  const stream = initialize();
  setUpDefaultController(stream, algorithms, highWaterMark, sizeAlgorithm);
  return stream;
}

// CreateReadableByteStream; a high water mark is for *set up with byte reading support*.
export function newReadableByte(algorithms, highWaterMark = 0) {
  const stream = initialize();
  setUpByteController(stream, algorithms, highWaterMark, undefined);
  return stream;
}

export const isLocked = (stream) => stream.reader !== undefined;

export const hasDefaultReader = ({ reader }) => reader !== undefined && !reader.isByob;
export const hasByobReader = ({ reader }) => reader !== undefined && reader.isByob;

// ReadableStreamGetNumReadRequests and ReadableStreamGetNumReadIntoRequests.
export const numRequests = (stream) => stream.reader.requests.length;

// ReadableStreamAddReadRequest and ReadableStreamAddReadIntoRequest.
export const addRequest = (stream, request) => stream.reader.requests.push(request);

// ReadableStreamFulfillReadRequest and ReadableStreamFulfillReadIntoRequest.
export function fulfillRequest(stream, chunk, done) {
  const request = stream.reader.requests.shift();
  if (done) request.close(chunk);
  else request.chunk(chunk);
}

// ReadableStreamCancel.
export function cancel(stream, reason) {
  stream.disturbed = true;
  if (stream.state === "closed") return resolvedWith(undefined);
  if (stream.state === "errored") return rejectedWith(stream.storedError);
  close(stream);
  const { reader } = stream;
  if (reader !== undefined && reader.isByob) {
    const { requests } = reader;
    reader.requests = [];
    for (const request of requests) request.close(undefined);
  }
  return react(stream.controller.steps.cancel(stream.controller, reason), () => undefined);
}

// ReadableStreamClose.
export function close(stream) {
  stream.state = "closed";
  const { reader } = stream;
  if (reader === undefined) return;
  reader.closedPromise.resolve(undefined);
  if (!reader.isByob) {
    const { requests } = reader;
    reader.requests = [];
    for (const request of requests) request.close();
  }
}

// ReadableStreamError.
export function error(stream, e) {
  stream.state = "errored";
  stream.storedError = e;
  const { reader } = stream;
  if (reader === undefined) return;
  reader.closedPromise.reject(e);
  setHandled(reader.closedPromise.promise);
  errorRequests(reader, e);
}

// ReadableStreamDefaultReaderErrorReadRequests and ReadableStreamBYOBReaderErrorReadIntoRequests.
function errorRequests(reader, e) {
  const { requests } = reader;
  reader.requests = [];
  for (const request of requests) request.error(e);
}

// SetUpReadableStreamDefaultReader and AcquireReadableStreamDefaultReader, without an object for scripts.
export function acquireDefaultReader(stream) { return initializeReader(stream, false); }

// SetUpReadableStreamBYOBReader and AcquireReadableStreamBYOBReader.
export function acquireByobReader(stream) {
  if (isLocked(stream)) throw locked();
  if (!stream.controller.isByte) throw new TypeError("The stream is no byte stream");
  return initializeReader(stream, true);
}

const locked = () => new TypeError("The stream is locked to a reader already");

// ReadableStreamReaderGenericInitialize.
function initializeReader(stream, isByob) {
  if (isLocked(stream)) throw locked();
  const reader = { stream, isByob, requests: [], closedPromise: newPromise() };
  stream.reader = reader;
  if (stream.state === "closed") reader.closedPromise.resolve(undefined);
  else if (stream.state === "errored") rejectHandled(reader, stream.storedError);
  return reader;
}

function rejectHandled(reader, reason) {
  reader.closedPromise.reject(reason);
  setHandled(reader.closedPromise.promise);
}

// ReadableStreamReaderGenericCancel.
export const readerCancel = (reader, reason) => cancel(reader.stream, reason);

// ReadableStreamReaderGenericRelease.
function genericRelease(reader) {
  const { stream } = reader;
  // Rejecting a promise that is settled does nothing.
  if (stream.state !== "readable") reader.closedPromise = newPromise();
  rejectHandled(reader, new TypeError("The reader has been released"));
  stream.controller.steps.release(stream.controller);
  stream.reader = undefined;
  reader.stream = undefined;
}

// ReadableStreamDefaultReaderRelease and ReadableStreamBYOBReaderRelease.
export function release(reader) {
  genericRelease(reader);
  errorRequests(reader, new TypeError("The reader has been released"));
}

// ReadableStreamDefaultReaderRead.
export function read(reader, readRequest) {
  const { stream } = reader;
  stream.disturbed = true;
  if (stream.state === "closed") readRequest.close();
  else if (stream.state === "errored") readRequest.error(stream.storedError);
  else stream.controller.steps.pull(stream.controller, readRequest);
}

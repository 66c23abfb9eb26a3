// Streams that move to another realm. (Streams, "Transferable streams"; the transfer steps of ReadableStream,
// WritableStream and TransformStream.)

import { setHandler } from "../events.js";
import { MessageChannel } from "../message_channel.js";
import { MessagePort } from "../message_port_class.js";
import { newPromise, promising, react, rejectedWith, resolvedWith, setHandled } from "../promises.js";
import { transferable } from "../serializable.js";
import { errorOf } from "../webidl.js";
import { controllerClose, controllerEnqueue, controllerError as readableControllerError } from "./default_controller.js";
import { pipeTo } from "./pipe.js";
import { isLocked as isReadableLocked, newReadable } from "./readable_ops.js";
import { controllerErrorIfNeeded } from "./writable_controller.js";
import { isLocked as isWritableLocked, newWritable } from "./writable_ops.js";

// Makes ReadableStream or WritableStream transferable.
export function makeTransferable(Class, tag, is, recordOf, objectOf) {
  const isReadable = tag === "ReadableStream";
  transferable(Class, tag, {
    is,
    detached: (value) => (isReadable ? isReadableLocked : isWritableLocked)(recordOf(value)),
    transfer: (value) => ({ port: (isReadable ? sendReadable : sendWritable)(recordOf(value)) }),
    receive: ({ port }) => objectOf((isReadable ? crossRealmReadable : crossRealmWritable)(port)),
  });
}

// Makes TransformStream transferable.
export function makeTransferablePair(Class, tag, is, recordOf, adopt) {
  transferable(Class, tag, {
    is,
    detached(value) {
      const { readable, writable } = recordOf(value);
      return isReadableLocked(readable) || isWritableLocked(writable);
    },
    transfer(value) {
      const { readable, writable } = recordOf(value);
      return { readable: sendReadable(readable), writable: sendWritable(writable) };
    },
    receive: ({ readable, writable }) => adopt(crossRealmReadable(readable), crossRealmWritable(writable)),
  });
}

// The transfer steps: the port for the other realm.
function sendReadable(stream) {
  const { port1, port2 } = new MessageChannel();
  setHandled(pipeTo(stream, crossRealmWritable(port1), false, false, false));
  return port2;
}

function sendWritable(stream) {
  const { port1, port2 } = new MessageChannel();
  setHandled(pipeTo(crossRealmReadable(port1), stream, false, false, false));
  return port2;
}

const { postMessage, start, close } = MessagePort.prototype;
const disentangle = (port) => Reflect.apply(close, port, []);

// PackAndPostMessage.
function packAndPostMessage(port, type, value) {
  Reflect.apply(postMessage, port, [{ __proto__: null, type, value }]);
}

// PackAndPostMessageHandlingError.
function packAndPostHandlingError(port, type, value) {
  try {
    packAndPostMessage(port, type, value);
  } catch (error) {
    sendError(port, error);
    throw error;
  }
}

// CrossRealmTransformSendError; what cannot be sent is dropped.
function sendError(port, error) {
  try {
    packAndPostMessage(port, "error", error);
  } catch {
    // The other side learns of the end by the port's.
  }
}

// Listens to the messages of the other side.
function listen(port, message, messageError) {
  setHandler(port, "message", ({ data }) => {
    if (typeof data === "object" && data !== null) message(data.type, data.value);
  });
  setHandler(port, "messageerror", () => {
    const error = errorOf("DataCloneError", "A chunk cannot be received here");
    sendError(port, error);
    messageError(error);
    disentangle(port);
  });
  Reflect.apply(start, port, []);
}

// SetUpCrossRealmTransformReadable.
function crossRealmReadable(port) {
  const stream = newReadable({
    __proto__: null,
    pull() {
      packAndPostMessage(port, "pull", undefined);
      return resolvedWith(undefined);
    },
    cancel: (reason) => promising(() => {
      try {
        packAndPostHandlingError(port, "error", reason);
      } finally {
        disentangle(port);
      }
      return resolvedWith(undefined);
    }),
  }, 0);
  const { controller } = stream;
  listen(port, (type, value) => {
    switch (type) {
      case "chunk":
        controllerEnqueue(controller, value);
        break;
      case "close":
        controllerClose(controller);
        disentangle(port);
        break;
      case "error":
        readableControllerError(controller, value);
        disentangle(port);
        break;
      default:
    }
  }, (error) => readableControllerError(controller, error));
  return stream;
}

// SetUpCrossRealmTransformWritable.
function crossRealmWritable(port) {
  let backpressure = newPromise();
  const unblock = () => {
    backpressure?.resolve(undefined);
    backpressure = undefined;
  };
  const stream = newWritable({
    __proto__: null,
    write(chunk) {
      const ready = backpressure === undefined ? resolvedWith(undefined) : backpressure.promise;
      return react(ready, () => {
        backpressure = newPromise();
        try {
          packAndPostHandlingError(port, "chunk", chunk);
        } catch (error) {
          disentangle(port);
          return rejectedWith(error);
        }
        return undefined;
      });
    },
    close() {
      packAndPostMessage(port, "close", undefined);
      disentangle(port);
      return resolvedWith(undefined);
    },
    abort: (reason) => promising(() => {
      try {
        packAndPostHandlingError(port, "error", reason);
      } finally {
        disentangle(port);
      }
      return resolvedWith(undefined);
    }),
  });
  const { controller } = stream;
  listen(port, (type, value) => {
    if (type === "pull") {
      unblock();
    } else if (type === "error") {
      controllerErrorIfNeeded(controller, value);
      unblock();
    }
  }, (error) => controllerErrorIfNeeded(controller, error));
  return stream;
}

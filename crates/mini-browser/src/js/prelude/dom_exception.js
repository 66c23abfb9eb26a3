// DOMException. (Web IDL, "DOMException".)

import { serializable } from "./serializable.js";
import { idl } from "./webidl.js";

const CODES = {
  IndexSizeError: 1, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5,
  NoModificationAllowedError: 7, NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10,
  InvalidStateError: 11, SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14,
  InvalidAccessError: 15, TypeMismatchError: 17, SecurityError: 18, NetworkError: 19, AbortError: 20,
  URLMismatchError: 21, TimeoutError: 23, InvalidNodeTypeError: 24, DataCloneError: 25,
};

const constants = {
  INDEX_SIZE_ERR: 1, DOMSTRING_SIZE_ERR: 2, HIERARCHY_REQUEST_ERR: 3, WRONG_DOCUMENT_ERR: 4,
  INVALID_CHARACTER_ERR: 5, NO_DATA_ALLOWED_ERR: 6, NO_MODIFICATION_ALLOWED_ERR: 7, NOT_FOUND_ERR: 8,
  NOT_SUPPORTED_ERR: 9, INUSE_ATTRIBUTE_ERR: 10, INVALID_STATE_ERR: 11, SYNTAX_ERR: 12,
  INVALID_MODIFICATION_ERR: 13, NAMESPACE_ERR: 14, INVALID_ACCESS_ERR: 15, VALIDATION_ERR: 16,
  TYPE_MISMATCH_ERR: 17, SECURITY_ERR: 18, NETWORK_ERR: 19, ABORT_ERR: 20, URL_MISMATCH_ERR: 21,
  QUOTA_EXCEEDED_ERR: 22, TIMEOUT_ERR: 23, INVALID_NODE_TYPE_ERR: 24, DATA_CLONE_ERR: 25,
};

let isDOMException, fields;

export class DOMException {
  #name;
  #message;
  constructor(message = "", name = "Error") {
    this.#message = `${message}`;
    this.#name = `${name}`;
    const { stack } = new Error();
    // The first frame is this constructor.
    const own = typeof stack === "string" ? stack.slice(stack.indexOf("\n") + 1) : "";
    Object.defineProperty(this, "stack", { value: own, writable: true, configurable: true });
  }
  get name() { return this.#name; }
  get message() { return this.#message; }
  get code() { return Object.hasOwn(CODES, this.#name) ? CODES[this.#name] : 0; }
  static {
    isDOMException = (value) => #name in value;
    fields = (value) => ({ name: value.#name, message: value.#message });
  }
}
idl(DOMException, { constants });
Object.setPrototypeOf(DOMException.prototype, Error.prototype);

// Web IDL, "serialization steps" of DOMException, with the stack as the errors of the language have it.
serializable(DOMException, "DOMException", {
  is: isDOMException,
  serialize(value) {
    const { stack } = Object.getOwnPropertyDescriptors(value);
    return { ...fields(value), stack: typeof stack?.value === "string" ? stack.value : undefined };
  },
  deserialize({ name, message, stack }) {
    const exception = new DOMException(message, name);
    if (stack !== undefined) Object.defineProperty(exception, "stack", { value: `${stack}`, writable: true, configurable: true });
    return exception;
  },
});

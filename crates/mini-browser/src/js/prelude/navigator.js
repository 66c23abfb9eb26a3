// Navigator, of windows. (HTML, "The Navigator object".)

import { op_load } from "ops";
import { facts } from "./global_scope.js";
import { HOST, idl, illegal } from "./webidl.js";

const languages = Object.freeze(["en"]);

export class Navigator {
  #brand = true;
  constructor() { illegal(arguments[0]); }
  get userAgent() { return "mini-browser"; }
  get language() { return "en"; }
  get languages() { return languages; }
  get onLine() { return true; }
  get cookieEnabled() { return true; }
  get hardwareConcurrency() { return 1; }
  async connect(url, request = undefined) {
    this.#brand;
    return op_load("connect.js").connect(arguments.length, url, request);
  }
  get serviceWorker() { this.#brand; return op_load("container.js").container; }
  get storage() { this.#brand; return op_load("storage_manager.js").storage; }
}
// [SecureContext]
if (!facts.secure) {
  delete Navigator.prototype.serviceWorker;
  delete Navigator.prototype.storage;
}
idl(Navigator);

export const navigator = new Navigator(HOST);

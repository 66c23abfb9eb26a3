// Navigator, of windows. (HTML, "The Navigator object".)

import { op_load } from "ops";
import { facts } from "./global_scope.js";
import { HOST, errorOf, idl, illegal } from "./webidl.js";

const languages = Object.freeze(["en"]);

export class Navigator {
  #brand = true;
  constructor() { illegal(arguments[0]); }
  // NavigatorID.
  get appCodeName() { this.#brand; return "Mozilla"; }
  get appName() { this.#brand; return "Netscape"; }
  get appVersion() { this.#brand; return "5.0"; }
  get platform() { this.#brand; return ""; }
  get product() { this.#brand; return "Gecko"; }
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
  get serviceWorker() {
    this.#brand;
    // "If this's relevant settings object's origin is an opaque origin".
    if (facts.origin === "null") throw errorOf("SecurityError", "serviceWorker: a document of an opaque origin has no service workers");
    return op_load("container.js").container;
  }
  get storage() { this.#brand; return op_load("storage_manager.js").storage; }
}
// [SecureContext]
if (!facts.secure) {
  delete Navigator.prototype.serviceWorker;
  delete Navigator.prototype.storage;
}
idl(Navigator);

export const navigator = new Navigator(HOST);

// Navigator, of windows. (HTML, "The Navigator object".)

import { op_load } from "ops";
import { facts } from "./global_scope.js";
import { HOST, idl, illegal } from "./webidl.js";

const languages = Object.freeze(["en"]);

export class Navigator {
  constructor(token) { illegal(token); }
  get userAgent() { return "mini-browser"; }
  get language() { return "en"; }
  get languages() { return languages; }
  get onLine() { return true; }
  get cookieEnabled() { return true; }
  get hardwareConcurrency() { return 1; }
}
idl(Navigator);
if (facts.secure) {
  Object.defineProperty(Navigator.prototype, "serviceWorker", {
    get() { return op_load("container.js").container; }, enumerable: true, configurable: true,
  });
}

export const navigator = new Navigator(HOST);

// WorkerLocation and WorkerNavigator. (HTML, "Workers".)

import { op_load, op_url_parse } from "ops";
import { facts } from "./global_scope.js";
import { HOST, idl, illegal } from "./webidl.js";

const parts = op_url_parse(facts.href, null);

export class WorkerLocation {
  constructor(token) { illegal(token); }
  get href() { return parts.href; }
  get origin() { return parts.origin; }
  get protocol() { return parts.protocol; }
  get host() { return parts.host; }
  get hostname() { return parts.hostname; }
  get port() { return parts.port; }
  get pathname() { return parts.pathname; }
  get search() { return parts.search; }
  get hash() { return parts.hash; }
  toString() { return parts.href; }
}
idl(WorkerLocation);

export class WorkerNavigator {
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
  get hardwareConcurrency() { return 1; }
  get serviceWorker() { this.#brand; return op_load("container.js").container; }
  get storage() { this.#brand; return op_load("storage_manager.js").storage; }
  async connect(url, request = undefined) {
    this.#brand;
    return op_load("connect.js").connect(arguments.length, url, request);
  }
}
// [SecureContext]
if (!facts.secure) {
  delete WorkerNavigator.prototype.serviceWorker;
  delete WorkerNavigator.prototype.storage;
}
idl(WorkerNavigator);

const languages = Object.freeze(["en"]);

export const location = new WorkerLocation(HOST);
export const navigator = new WorkerNavigator(HOST);

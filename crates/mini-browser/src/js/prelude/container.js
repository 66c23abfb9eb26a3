// navigator.serviceWorker. (Service Workers, "ServiceWorkerContainer".)

import { op_controller, op_get_registration, op_ready, op_register } from "ops";
import { EventTarget, defineEventHandler, fireEvent } from "./events.js";
import { applyNotice, registrationOf, workerOf } from "./registration.js";
import { HOST, USVString, callAsync, dictionary, enumeration, errorOf, idl, illegal, required } from "./webidl.js";

let controllerChanged;

export class ServiceWorkerContainer extends EventTarget {
  #controller;
  #ready = null;
  constructor() { illegal(arguments[0]); super(); this.#controller = op_controller(); }
  get controller() { return workerOf(this.#controller); }
  get ready() {
    if (!(#ready in this)) return Promise.reject(new TypeError("ready: this is no ServiceWorkerContainer"));
    this.#ready ??= callAsync(op_ready).then(registrationOf);
    return this.#ready;
  }
  async register(scriptURL, options = undefined) {
    this.#controller;
    required(arguments.length, 1, "register");
    const url = USVString(scriptURL);
    let { scope, type = "classic", updateViaCache = "imports" } = dictionary(options, "The options of register");
    if (scope !== undefined) scope = USVString(scope);
    type = enumeration(type, ["classic", "module"], "register: type");
    updateViaCache = enumeration(updateViaCache, ["imports", "all", "none"], "register: updateViaCache");
    return registrationOf(await callAsync(op_register, url, scope ?? null, type, updateViaCache));
  }
  async getRegistration(clientURL = "") {
    this.#controller;
    const view = await callAsync(op_get_registration, USVString(clientURL));
    return registrationOf(view) ?? undefined;
  }
  async getRegistrations() { throw errorOf("NotSupportedError", "getRegistrations is not offered yet"); }
  startMessages() { this.#controller; }
  static {
    controllerChanged = (container, controller) => {
      container.#controller = controller;
      fireEvent(container, "controllerchange", true);
    };
  }
}
idl(ServiceWorkerContainer);
for (const type of ["controllerchange", "message", "messageerror"]) defineEventHandler(ServiceWorkerContainer, type);

export const container = new ServiceWorkerContainer(HOST);

// What the browser says of registrations.
export function notice(kind, detail) {
  if (kind === "controllerChanged") controllerChanged(container, detail.controller);
  else applyNotice(kind, detail);
}

// NavigationPreloadManager. (Service Workers, "NavigationPreloadManager".)

import { op_enable_navigation_preload, op_navigation_preload, op_set_navigation_preload_header } from "ops";
import { ByteString, callAsync, idl, illegal, required } from "./webidl.js";

export class NavigationPreloadManager {
  // The registration's id.
  #registration;
  constructor() { illegal(arguments[0]); this.#registration = arguments[1]; }
  async enable() { await callAsync(op_enable_navigation_preload, this.#registration, true); }
  async disable() { await callAsync(op_enable_navigation_preload, this.#registration, false); }
  async setHeaderValue(value) {
    const registration = this.#registration;
    required(arguments.length, 1, "setHeaderValue");
    await callAsync(op_set_navigation_preload_header, registration, ByteString(value));
  }
  async getState() { return await callAsync(op_navigation_preload, this.#registration); }
}
idl(NavigationPreloadManager);

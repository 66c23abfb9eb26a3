// ConnectEvent: shown, and refused. (Reconciled API, ConnectEvent.)

import { ExtendableEvent } from "./extendable.js";
import { HOST, errorOf, idl, illegal } from "./webidl.js";

export class ConnectEvent extends ExtendableEvent {
  #detail;
  constructor(token, type, detail) {
    illegal(token);
    super(type);
    this.#detail = detail;
  }
  get origin() { return this.#detail.origin; }
  get targetURL() { return this.#detail.targetUrl; }
  get targetUrl() { return this.#detail.targetUrl; }
  async acceptConnection() {
    throw errorOf("NotSupportedError", "acceptConnection is not offered yet");
  }
}
idl(ConnectEvent);

// The same interface under the names of the other dialects.
export { ConnectEvent as ConnectionEvent, ConnectEvent as CrossOriginConnectEvent };

export const newConnectEvent = (type, detail) => new ConnectEvent(HOST, type, detail);

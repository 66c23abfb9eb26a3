// MessageChannel. (HTML, "Message channels".)

import { op_port_channel } from "ops";
import { entangle, newMessagePort } from "./message_port_class.js";
import { idl } from "./webidl.js";

export class MessageChannel {
  #port1;
  #port2;
  constructor() {
    const [first, second] = op_port_channel();
    this.#port1 = newMessagePort(first);
    this.#port2 = newMessagePort(second);
    entangle(this.#port1, this.#port2);
  }
  get port1() { return this.#port1; }
  get port2() { return this.#port2; }
}
idl(MessageChannel);

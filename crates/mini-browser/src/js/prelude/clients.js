// Clients, Client and WindowClient. (Service Workers, "Client", "WindowClient", "Clients".)

import { op_claim, op_client, op_clients, op_navigate_client, op_post_to_client, op_resolve_url } from "ops";
import { own } from "./own.js";
import { transferList } from "./structured_clone.js";
import { DOMString, HOST, USVString, callAsync, dictionary, enumeration, errorOf, idl, illegal, required } from "./webidl.js";

export class Client {
  #view;
  constructor() { illegal(arguments[0]); this.#view = arguments[1]; }
  get url() { return this.#view.url; }
  get frameType() { return this.#view.frameType; }
  get id() { return this.#view.id; }
  get type() { return this.#view.type; }
  postMessage(message, options = undefined) {
    const { id } = this.#view;
    required(arguments.length, 1, "postMessage");
    op_post_to_client(id, message, transferList(options));
  }
}
idl(Client);

export class WindowClient extends Client {
  #view;
  #ancestorOrigins;
  constructor() {
    const view = arguments[1];
    super(arguments[0], view);
    this.#view = view;
    this.#ancestorOrigins = Object.freeze([...view.ancestorOrigins ?? []]);
  }
  // Nothing is painted, and nothing covers anything.
  get visibilityState() { return (this.#view, "visible"); }
  get focused() { return this.#view.focused ?? false; }
  get ancestorOrigins() { return this.#ancestorOrigins; }
  async focus() {
    this.#view;
    // Step 1: no event of a worker's carries the user's consent.
    throw errorOf("InvalidAccessError", "focus: not allowed, since no user has asked for it");
  }
  async navigate(url) {
    const { id } = this.#view;
    required(arguments.length, 1, "navigate");
    const view = await callAsync(op_navigate_client, id, USVString(url));
    return view === null || view === undefined ? null : clientOf(view);
  }
}
idl(WindowClient);

export const clientOf = (view) => new (view.type === "window" ? WindowClient : Client)(HOST, view);

export class Clients {
  #brand;
  constructor() { illegal(arguments[0]); }
  async get(id) {
    this.#brand;
    required(arguments.length, 1, "get");
    const view = await callAsync(op_client, DOMString(id));
    return view === null || view === undefined ? undefined : clientOf(view);
  }
  async matchAll(options = undefined) {
    this.#brand;
    const { includeUncontrolled = false, type = "window" } = dictionary(options, "The options of matchAll");
    const wanted = enumeration(type, ["window", "worker", "sharedworker", "all"], "matchAll: type");
    const views = await callAsync(op_clients, !!includeUncontrolled);
    return Object.freeze(views.filter((view) => wanted === "all" || view.type === wanted).map(clientOf));
  }
  async openWindow(url) {
    this.#brand;
    required(arguments.length, 1, "openWindow");
    // Steps 1 and 2.
    const resolved = op_resolve_url(own.id, USVString(url));
    if (resolved === null || resolved === undefined || resolved === "about:blank") throw new TypeError(`openWindow: '${url}' cannot be opened`);
    // Step 3: no event of a worker's carries the user's consent.
    throw errorOf("InvalidAccessError", "openWindow: not allowed, since no user has asked for it");
  }
  async claim() {
    this.#brand;
    await callAsync(op_claim);
  }
}
idl(Clients);

export const clients = new Clients(HOST);

// ConnectEvent, its client, and its dispatch. (Reconciled API, ConnectEvent; SEMANTICS §5.2.)
//
// What a handler does is told to the host (op_connect_record), which knows the rules of acceptance and
// gives the verdict, once: "given", "pair" or "refused".

import { op_connect_decide, op_connect_record, op_port_channel, op_port_forget, op_settled } from "ops";
import { ExtendableEvent, addLifetimePromise, dispatchExtendable, watchLifetime } from "./extendable.js";
import { isDetached, isMessagePort, newMessagePort, transferredPort, watchPort } from "./message_port_class.js";
import { newPromise, promising, resolvedWith, upon } from "./promises.js";
import { structuredDeserialize } from "./structured_clone.js";
import { HOST, call, errorOf, idl, illegal, required } from "./webidl.js";

const notAccepted = () => errorOf("AbortError", "The connection was not accepted");

let internals;

export class ConnectEvent extends ExtendableEvent {
  #id;
  #detail;
  // The serialized request, until it is read.
  #record;
  #request = undefined;
  #client = null;
  // event.port, and the number of the port entangled with it, which is to be the client's.
  #port = null;
  #partner = null;
  // What acceptConnection gave back, and was given.
  #result = null;
  #given = undefined;
  #decided = false;

  constructor(token, id, type, detail, record) {
    illegal(token);
    super(type);
    this.#id = id;
    this.#detail = detail;
    this.#record = record ?? null;
    watchLifetime(this, () => this.#note("waitUntil"), (fulfilled) => this.#note("promise settled", fulfilled));
  }
  get origin() {
    this.#note("origin");
    return this.#detail.origin;
  }
  get targetURL() {
    this.#note("targetURL");
    return this.#detail.targetURL;
  }
  get targetUrl() { return this.targetURL; }
  get port() {
    this.#note("port");
    return this.#ownPort();
  }
  get client() {
    this.#note("client");
    return this.#client ??= new ForeignServiceWorkerClient(HOST, this);
  }
  get request() {
    if (this.#record !== null) {
      const record = this.#record;
      this.#record = null;
      try {
        this.#request = structuredDeserialize(record);
      } catch {
        this.#request = null;
      }
    }
    return this.#request;
  }
  // D1.
  acceptConnection(value) {
    const given = arguments.length;
    return promising(() => {
      this.#id;
      required(given, 1, "acceptConnection");
      call(op_connect_record, this.#id, "acceptConnection", null);
      const result = this.#result = newPromise();
      const promise = resolvedWith(value);
      upon(promise, (value) => {
        this.#given = value;
        if (isMessagePort(value)) this.#note("port accepted", !isDetached(value));
        else if ((typeof value === "object" && value !== null) || typeof value === "function") this.#note("object accepted");
        else this.#note("boolean accepted", !!value);
      }, () => this.#note("accept rejected"));
      addLifetimePromise(this, promise);
      return result.promise;
    });
  }

  #ownPort() {
    if (this.#port === null) {
      const [first, second] = op_port_channel();
      this.#port = newMessagePort(first);
      // Nobody will take the other end any more.
      if (this.#decided) op_port_forget(second);
      else this.#partner = second;
      watchPort(this.#port, () => this.#note("port used"), () => this.#note("port closed"));
    }
    return this.#port;
  }

  // The handler did `what`.
  #note(what, liveOrTrue = null) {
    if (this.#decided) return;
    const verdict = op_connect_record(this.#id, what, liveOrTrue) ?? null;
    if (verdict !== null) this.#decide(verdict);
  }

  #decide(verdict) {
    this.#decided = true;
    const result = this.#result;
    if (verdict === "given") {
      let given = null;
      // A view of a stashed port throws if another worker has closed its entry this moment.
      try { given = transferredPort(this.#given); } catch {}
      op_connect_decide(this.#id, given);
      if (this.#partner !== null) op_port_forget(this.#partner);
      if (given !== null) result.resolve(undefined);
      else result.reject(notAccepted());
    } else if (verdict === "pair") {
      const port = this.#ownPortForPair();
      op_connect_decide(this.#id, this.#partner);
      result?.resolve(port);
    } else {
      op_connect_decide(this.#id, null);
      if (this.#partner !== null) op_port_forget(this.#partner);
      result?.reject(notAccepted());
    }
    this.#partner = null;
    this.#given = undefined;
  }

  // event.port, and its partner for the client.
  #ownPortForPair() {
    this.#decided = false;
    const port = this.#ownPort();
    this.#decided = true;
    return port;
  }

  static {
    internals = {
      clientURL: (event) => event.#detail.clientURL,
      port: (event) => event.#ownPort(),
      note: (event, what) => event.#note(what),
    };
  }
}
idl(ConnectEvent);

// What a service sees of the client that connects. (COSW, ForeignServiceWorkerClient.)
export class ForeignServiceWorkerClient {
  #event;
  constructor(token, event) {
    illegal(token);
    this.#event = event;
  }
  get url() { return internals.clientURL(this.#event); }
  get port() { return internals.port(this.#event); }
}
idl(ForeignServiceWorkerClient);

// The same interface under the names of the other dialects.
export { ConnectEvent as ConnectionEvent, ConnectEvent as CrossOriginConnectEvent };

export function dispatchConnect(id, type, detail, record) {
  const event = new ConnectEvent(HOST, id, type, detail, record);
  const after = () => internals.note(event, "dispatched");
  dispatchExtendable(event, (failure) => {
    internals.note(event, "over");
    op_settled(id, failure);
  }, after);
}

// navigator.connect, of windows and workers. (Reconciled API, NavigatorConnect.)

import { op_connect } from "ops";
import { newMessagePort } from "./message_port_class.js";
import { structuredSerialize } from "./structured_clone.js";
import { USVString, callAsync, required } from "./webidl.js";

// connect(url, request): what goes wrong rejects.
export async function connect(given, url, request) {
  required(given, 1, "connect");
  url = USVString(url);
  // Step 3: the request is serialized, without transfer; undefined is none.
  const record = request === undefined ? null : structuredSerialize(request);
  return newMessagePort(await callAsync(op_connect, url, record));
}

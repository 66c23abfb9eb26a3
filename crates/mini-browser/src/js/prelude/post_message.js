// window.postMessage(). (HTML, "Posting messages".)

import { op_post_to_window, op_url_parse } from "ops";
import { own } from "./own.js";
import { global } from "./realms.js";
import { deserialize, messageEvent, serialize } from "./cloning.js";
import { fire } from "./events.js";
import { USVString, dictionary, errorOf, required, sequence } from "./webidl.js";

// The window post message steps, to the active window of navigable `id`, by a script of realm `by`
// (null for this one). `args` is what postMessage was called with: (message, targetOrigin, transfer)
// or (message, options).
export function postToWindow(id, by, args) {
  required(args.length, 1, "postMessage");
  const [message, second, third] = args;
  let targetOrigin = "/";
  let transfer = [];
  const isOptions = args.length < 3 && (second === undefined || second === null || typeof second === "object" || typeof second === "function");
  if (isOptions) {
    const options = dictionary(second, "The options of postMessage");
    if (options.targetOrigin !== undefined) targetOrigin = USVString(options.targetOrigin);
    if (options.transfer !== undefined) transfer = objects(options.transfer);
  } else {
    targetOrigin = USVString(second);
    if (third !== undefined) transfer = objects(third);
  }
  // Step 4 and 5: "/" is the origin of the incumbent settings object, "*" any.
  if (targetOrigin !== "/" && targetOrigin !== "*") {
    const parsed = op_url_parse(targetOrigin, null);
    if (parsed === null || parsed === undefined) throw errorOf("SyntaxError", `Invalid target origin '${targetOrigin}' in a call to postMessage`);
    targetOrigin = parsed.origin;
  }
  // Step 7: StructuredSerializeWithTransfer.
  const record = serialize(message, transfer);
  if (id === null || id === undefined) return;
  op_post_to_window(id, by ?? own.id, record, targetOrigin);
}

const objects = (value) => sequence(value, (item) => {
  if ((typeof item !== "object" && typeof item !== "function") || item === null) throw new TypeError("postMessage: an item of transfer is not an object");
  return item;
}, "postMessage: transfer");

// Window post message steps, step 8.3 and on, in the target's realm.
export function receive(record, origin, source) {
  let data, transferred;
  try {
    ({ data, transferred } = deserialize(record));
  } catch {
    fire(messageEvent("messageerror", null, origin, source, []), global);
    return;
  }
  fire(messageEvent("message", data, origin, source, transferred), global, true);
}

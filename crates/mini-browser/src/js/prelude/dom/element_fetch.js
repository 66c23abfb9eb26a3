// What elements fetch. (HTML, "Fetching resources"; "create a potential-CORS request".)

import { op_body_bytes, op_fetch_element } from "ops";
import { keep } from "../kept.js";
import { requestToHost } from "../request.js";

let lastOperation = 2 ** 40;

const REFERRER_POLICIES = new Set(["no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
  "strict-origin-when-cross-origin", "unsafe-url"]);

// Fetches for an element: `crossOrigin` is the state of its attribute (null for none). Gives a promise of
// { status, isOk, type, url, contentType, isNoSniff, bytes(): promise of all bytes }, which is rejected for a network error.
// `mode` is another mode than the one that its attribute gives.
export async function fetchForElement({
  url, destination, crossOrigin = null, mode = undefined, integrity = "", referrer = "about:client", referrerPolicy = "", headers = [],
}) {
  // Create a potential-CORS request.
  const request = {
    method: "GET", urlList: [url], headers, destination, body: null,
    mode: mode ?? (crossOrigin === null ? "no-cors" : "cors"),
    credentials: crossOrigin === "anonymous" ? "same-origin" : "include",
    cache: "default", redirect: "follow", referrer, referrerPolicy: REFERRER_POLICIES.has(referrerPolicy) ? referrerPolicy : "", serviceWorkers: "all",
    lookAside: "default", integrity, keepalive: false, reloadNavigation: false, historyNavigation: false, requesterId: null, kept: null,
  };
  lastOperation += 1;
  const { body, ...response } = await op_fetch_element(lastOperation, requestToHost(request));
  const kept = keep("body", body ?? null);
  let bytes = null;
  return {
    ...response,
    isOk: response.status >= 200 && response.status <= 299,
    bytes() {
      lastOperation += 1;
      bytes ??= kept === null ? Promise.resolve(new Uint8Array(0)) : op_body_bytes(lastOperation, kept.id);
      return bytes;
    },
  };
}


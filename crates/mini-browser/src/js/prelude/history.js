// History. (HTML, "The History interface".)

import { op_base_url, op_document_url, op_history_length, op_history_state, op_navigable, op_traverse, op_update_history, op_url_parse } from "ops";
import { queueTask } from "./event_loop.js";
import { fire } from "./events.js";
import { HashChangeEvent, PopStateEvent } from "./navigation_events.js";
import { global } from "./realms.js";
import { deserializeFromString, serializeToString } from "./cloning.js";
import { HOST, USVString, errorOf, idl, illegal, required } from "./webidl.js";

export class History {
  #state = { text: undefined, value: null };
  #scrollRestoration = "auto";
  constructor(token) { illegal(token); }
  get length() { active(); return op_history_length(); }
  get scrollRestoration() { active(); return this.#scrollRestoration; }
  set scrollRestoration(value) {
    active();
    if (value === "auto" || value === "manual") this.#scrollRestoration = value;
  }
  // The object is the same as long as the entry is.
  get state() {
    active();
    const text = op_history_state() ?? null;
    if (text !== this.#state.text) this.#state = { text, value: text === null ? null : deserializeFromString(text) };
    return this.#state.value;
  }
  go(delta = 0) {
    active();
    op_traverse(Number(delta) | 0);
  }
  back() { active(); op_traverse(-1); }
  forward() { active(); op_traverse(1); }
  pushState(data, unused, url = null) {
    required(arguments.length, 2, "pushState");
    update(data, url, false);
  }
  replaceState(data, unused, url = null) {
    required(arguments.length, 2, "replaceState");
    update(data, url, true);
  }
}
idl(History);

function active() {
  const id = op_navigable();
  if (id === null || id === undefined) throw errorOf("SecurityError", "The document of this history is not shown");
}

// The shared history push/replace state steps.
function update(data, url, replace) {
  active();
  const state = serializeToString(data);
  let href = op_document_url();
  if (url !== null && url !== undefined && USVString(url) !== "") {
    const parsed = op_url_parse(USVString(url), op_base_url());
    if (parsed === null || parsed === undefined) throw errorOf("SecurityError", `'${url}' is not a valid URL`);
    if (!mayRewrite(op_url_parse(href, null), parsed)) {
      throw errorOf("SecurityError", "The document's URL cannot be rewritten to that URL");
    }
    href = parsed.href;
  }
  op_update_history(href, state, replace);
}

// Can have its URL rewritten.
function mayRewrite(document, target) {
  for (const part of ["protocol", "username", "password", "host"]) if (document[part] !== target[part]) return false;
  if (document.protocol === "http:" || document.protocol === "https:") return true;
  if (document.pathname !== target.pathname) return false;
  return document.protocol === "file:" || document.search === target.search;
}

export const history = new History(HOST);

// Update document for history step application, of another entry of this document: the URL has changed
// already.
export function traversed(oldURL, newURL) {
  fire(new PopStateEvent("popstate", { state: history.state }), global);
  hashChanged(oldURL, newURL);
}

function hashChanged(oldURL, newURL) {
  const fragment = (url) => url.split("#").slice(1).join("#");
  const isSame = oldURL.includes("#") === newURL.includes("#") && fragment(oldURL) === fragment(newURL);
  if (!isSame) queueTask("dom", () => fire(new HashChangeEvent("hashchange", { oldURL, newURL }), global));
}

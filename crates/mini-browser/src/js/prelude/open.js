// window.open() and window.close(). (HTML, "APIs for creating and navigating browsing contexts by
// name".)

import { op_choose_navigable, op_close, op_is_closed, op_navigable, op_navigate, op_open_page, op_related, op_resolve_url, op_set_opener } from "ops";
import { DOMString, USVString, call, errorOf } from "./webidl.js";

// The window open steps, by a script of realm `by`.
export function openWindow(by, url = "", target = "_blank", features = "") {
  url = USVString(url);
  const name = DOMString(target);
  const wanted = tokenize(DOMString(features));
  // Step 4: encoding-parse a URL, relative to the entry settings object.
  let resolved = null;
  if (url !== "") {
    resolved = op_resolve_url(by, url);
    if (resolved === null || resolved === undefined) throw errorOf("SyntaxError", `'${url}' is not a valid URL`);
  }
  // Steps 9 to 11.
  let noOpener = false, noReferrer = false;
  if (wanted.has("noreferrer")) noOpener = noReferrer = isTrue(wanted.get("noreferrer"));
  if (wanted.has("noopener")) noOpener ||= isTrue(wanted.get("noopener"));
  let chosen = op_choose_navigable(by, name);
  if (chosen === null || chosen === undefined) {
    const isKeyword = /^_(blank|self|parent|top)$/i.test(name);
    const created = call(op_open_page, by, isKeyword ? "" : name, noOpener);
    if (created === null || created === undefined) return null;
    // Step 15.5: a page that is new has its about:blank already.
    if (resolved !== null && resolved !== "about:blank") call(op_navigate, created, by, resolved, { replace: true, noReferrer });
    chosen = created;
  } else {
    if (resolved !== null) call(op_navigate, chosen, by, resolved, { noReferrer });
    // Step 16.2.
    if (!noOpener && chosen !== op_navigable() && op_related(chosen, "parent") === op_related(chosen, "window")) {
      if (op_related(chosen, "opener") === null) op_set_opener(chosen, op_navigable());
    }
  }
  return noOpener ? null : op_related(chosen, "window");
}

// Tokenize the features argument.
function tokenize(features) {
  const tokenized = new Map();
  for (const [, name, value] of features.toLowerCase().matchAll(/([^\s=,]+)(?:\s*=[\s=]*([^\s=,]*))?/g)) tokenized.set(name, value ?? "");
  return tokenized;
}

// Parse a boolean feature.
function isTrue(value) {
  return value === "" || value === "yes" || value === "true" || (Number.parseInt(value, 10) || 0) !== 0;
}

export function closeWindow(id) {
  if (id !== null && id !== undefined && !op_is_closed(id)) op_close(id);
}

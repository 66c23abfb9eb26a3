// What following a link does. (HTML, "Following hyperlinks".)

import { op_choose_navigable, op_navigable, op_navigate } from "ops";
import { global } from "../realms.js";
import { own } from "../own.js";
import { call } from "../webidl.js";
import { openWindow } from "../open.js";
import { activations } from "./activation.js";
import { lowercase } from "./attributes.js";
import { attribute, firstElement, isHtml } from "./nodes.js";
import { resolve } from "./reflect.js";

// Get an element's target.
export function targetOf(element) {
  const target = attribute(element, "target");
  if (target !== null) return target;
  const base = firstElement(element.document, (each) => isHtml(each, "base") && attribute(each, "target") !== null);
  return base === null ? "" : attribute(base, "target");
}

// Chooses the navigable for an element and navigates it. `how` is what op_navigate takes.
export function navigateFor(element, url, target, how = {}) {
  const id = op_navigable();
  if (id === null || id === undefined || element.document.home.global !== global) return;
  const relations = lowercase(attribute(element, "rel") ?? "").split(/[\t\n\f\r ]+/);
  const noReferrer = relations.includes("noreferrer");
  const isNew = lowercase(target) === "_blank";
  const noOpener = noReferrer || relations.includes("noopener") || (isNew && !relations.includes("opener"));
  const chosen = target === "" ? id : op_choose_navigable(own.id, target);
  if (chosen === null || chosen === undefined) {
    openWindow(own.id, url, target, noReferrer ? "noreferrer" : noOpener ? "noopener" : "");
    return;
  }
  call(op_navigate, chosen, own.id, url, { noReferrer, ...how });
}

// Follow the hyperlink.
export function followHyperlink(element) {
  if (!element.document.isShown || attribute(element, "download") !== null) return;
  const url = resolve(element, attribute(element, "href"));
  if (url !== null) navigateFor(element, url, targetOf(element));
}

for (const name of ["a", "area"]) {
  activations.set(name, { has: (element) => attribute(element, "href") !== null, activate: followHyperlink });
}

// meta http-equiv=refresh (HTML, "Refresh state") and meta name=referrer.

import { op_set_referrer_policy } from "ops";

import { lowercase } from "./attributes.js";
import { navigateFor } from "./hyperlinks.js";
import { documentLoaded } from "./loading.js";
import { attribute } from "./nodes.js";
import { resolve } from "./reflect.js";
import { setTimeout } from "../timers.js";
import { recordSteps } from "./steps.js";

// Standard metadata names, "referrer": the document's referrer policy.
function updateReferrerPolicy(element) {
  if (!element.document.isShown || lowercase(attribute(element, "name") ?? "") !== "referrer") return;
  const content = attribute(element, "content");
  if (content !== null) op_set_referrer_policy(content.toWellFormed());
}

// The shared declarative refresh steps.
recordSteps.set("meta", {
  changed: updateReferrerPolicy,
  connected(element) {
    const { document } = element;
    updateReferrerPolicy(element);
    if (lowercase(attribute(element, "http-equiv") ?? "") !== "refresh" || !document.isShown || document.willRefresh) return;
    const match = /^\s*([0-9]+)?(?:\.[0-9.]*)?\s*(?:[;,]?\s*(?:url\s*=\s*)?(?:"([^"]*)|'([^']*)|(.*)))?$/i.exec(attribute(element, "content") ?? "");
    if (match === null || match[1] === undefined) return;
    document.willRefresh = true;
    const target = (match[2] ?? match[3] ?? match[4] ?? "").trim();
    const url = target === "" ? document.home.urlOf(document) : resolve(element, target);
    if (url === null) return;
    documentLoaded(document, () => setTimeout(() => {
      if (document.isShown) navigateFor(element, url, "", { replace: true });
    }, Number(match[1]) * 1000));
  },
});

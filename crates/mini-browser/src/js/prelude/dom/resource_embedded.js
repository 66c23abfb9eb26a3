// What embed and object elements show. (HTML, "The embed element", "The object element".) Nothing is
// painted: an image counts as shown when it is one.

import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { lowercase } from "./attributes.js";
import { fetchForElement } from "./element_fetch.js";
import { dimensionsOf } from "./image_headers.js";
import { delayLoad } from "./loading.js";
import { attribute, isConnected, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { recordSteps } from "./steps.js";

// An image, or anything else that was found, is shown; nothing is run.
function loadEmbedded(element) {
  const own = ownOf(element);
  own.generation = (own.generation ?? 0) + 1;
  const { generation } = own;
  const source = attribute(element, element.localName === "embed" ? "src" : "data");
  if (source === null || source === "" || !isConnected(element) || !element.document.isShown) return;
  const release = delayLoad(element.document);
  const settle = (type) => queueTask("dom", () => {
    if (own.generation === generation) fireEvent(wrap(element), type, true);
    release();
  });
  const url = resolve(element, source);
  if (url === null) {
    settle("error");
    return;
  }
  fetchForElement({ url, destination: element.localName }).then(async (response) => {
    const bytes = await response.bytes();
    const isImage = lowercase(response.contentType ?? "").startsWith("image/");
    settle(response.isOk && (!isImage || dimensionsOf(bytes, response.contentType) !== null) ? "load" : "error");
  }).catch(() => settle("error"));
}

for (const [name, attributeName] of [["embed", "src"], ["object", "data"]]) {
  recordSteps.set(name, {
    connected: loadEmbedded,
    changed(element, changed) { if (changed === attributeName && isConnected(element)) loadEmbedded(element); },
  });
}

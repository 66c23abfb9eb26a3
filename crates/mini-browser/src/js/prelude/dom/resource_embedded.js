// What embed and object elements show: documents, in a navigable of theirs, and images. (HTML, "The embed
// element", "The object element".) Nothing is painted: an image counts as shown when it is one.

import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { hideDocument, showDocument } from "../iframe.js";
import { kindOf } from "./document_kinds.js";
import { fetchForElement } from "./element_fetch.js";
import { dimensionsOf } from "./image_headers.js";
import { delayLoad } from "./loading.js";
import { attribute, isConnected, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { recordSteps } from "./steps.js";

function loadEmbedded(element) {
  const own = ownOf(element);
  own.generation = (own.generation ?? 0) + 1;
  const { generation } = own;
  const source = attribute(element, element.localName === "embed" ? "src" : "data");
  if (source === null || source === "" || !isConnected(element) || !element.document.isShown) return;
  const release = delayLoad(element.document);
  const settle = (run) => queueTask("dom", () => {
    if (own.generation === generation) run(wrap(element));
    release();
  });
  const url = resolve(element, source);
  const show = url === null ? Promise.reject(new TypeError("it has no URL")) : fetchForElement({ url, destination: element.localName }).then(shown);
  show.then((document) => settle((object) => {
    if (document === null) {
      hideDocument(object);
      fireEvent(object, "load", true);
    } else if (!showDocument(object, document)) {
      fireEvent(object, "error", true);
    }
  }), () => settle((object) => {
    hideDocument(object);
    fireEvent(object, "error", true);
  }));
}

// The URL of the document that a response is for; null if it is shown without one. Rejected if it is not shown.
async function shown(response) {
  if (!response.isOk) throw new TypeError("there is nothing to show");
  const contentType = response.contentType ?? "";
  const kind = kindOf(contentType, contentType === "" ? await response.bytes() : new Uint8Array(0));
  if (kind === "image" && dimensionsOf(await response.bytes(), contentType) === null) throw new TypeError("it is no image");
  // By the letter, the navigable is navigated with this response; here, its URL is asked for once more.
  return kind === "image" || kind === null ? null : response.url;
}

for (const [name, attributeName] of [["embed", "src"], ["object", "data"]]) {
  recordSteps.set(name, {
    connected: loadEmbedded,
    disconnected(element) {
      ownOf(element).generation = (ownOf(element).generation ?? 0) + 1;
      hideDocument(wrap(element));
    },
    changed(element, changed) { if (changed === attributeName && isConnected(element)) loadEmbedded(element); },
  });
}

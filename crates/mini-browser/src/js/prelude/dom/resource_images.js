// Images, and what embed, object and input elements show of them. (HTML, "Images".)

import { queueTask } from "../event_loop.js";
import { fireEvent, queueMicrotask } from "../events.js";
import { errorOf } from "../webidl.js";
import { lowercase } from "./attributes.js";
import { fetchForElement } from "./element_fetch.js";
import { dimensionsOf } from "./image_headers.js";
import { delayLoad } from "./loading.js";
import { attribute, childrenOf, isHtml, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { crossOriginOf } from "./scripts.js";
import { recordSteps } from "./steps.js";

const NOTHING = { state: "unavailable", url: "", width: 0, height: 0, isClean: true };

// The current request of an img: { state, url, width, height, isClean }; a clean one taints no canvas.
export const imageOf = (element) => element.own?.image ?? NOTHING;

// img.complete
export function isComplete(element) {
  const src = attribute(element, "src");
  if ((src === null || src === "") && attribute(element, "srcset") === null) return true;
  const { state } = imageOf(element);
  return !(element.own?.isUpdating ?? false) && (state === "completely available" || state === "broken");
}

// img.decode()
export function decode(element) {
  return new Promise((resolve, reject) => {
    const settle = () => {
      if (imageOf(element).state === "completely available") resolve();
      else reject(errorOf("EncodingError", "The image cannot be decoded"));
    };
    if (isComplete(element)) settle();
    else (ownOf(element).onSettled ??= []).push(settle);
  });
}

// Update the image data.
function updateImageData(element) {
  const own = ownOf(element);
  own.generation = (own.generation ?? 0) + 1;
  const { generation } = own;
  own.isUpdating = true;
  const release = delayLoad(element.document);
  const isCurrent = () => own.generation === generation;
  const settle = (image, type) => queueTask("dom", () => {
    if (isCurrent()) {
      own.image = image;
      own.isUpdating = false;
      if (type !== null) fireEvent(wrap(element), type, true);
      for (const then of own.onSettled?.splice(0) ?? []) then();
    }
    release();
  });
  // Step 8: await a stable state.
  queueMicrotask(() => {
    if (!isCurrent()) {
      release();
      return;
    }
    const source = selectSource(element);
    if (source === null) {
      settle({ ...NOTHING, state: "broken" }, attribute(element, "src") !== null || attribute(element, "srcset") !== null ? "error" : null);
      return;
    }
    const url = resolve(element, source);
    if (url === null) {
      settle({ ...NOTHING, state: "broken", url: source }, "error");
      return;
    }
    load(element, url).then(
      (image) => settle({ state: "completely available", url, ...image }, "load"),
      () => settle({ ...NOTHING, state: "broken", url }, "error"),
    );
  });
}

async function load(element, url) {
  const response = await fetchForElement({
    url, destination: "image", crossOrigin: crossOriginOf(element), referrerPolicy: lowercase(attribute(element, "referrerpolicy") ?? ""),
  });
  const dimensions = dimensionsOf(await response.bytes(), response.contentType);
  if (dimensions === null) throw new TypeError("it is not an image");
  return { ...dimensions, isClean: response.type !== "opaque" };
}

// Select an image source: its URL, of density 1 if there is a choice; or null.
function selectSource(element) {
  if (element.parent !== null && isHtml(element.parent, "picture")) {
    for (const child of childrenOf(element.parent)) {
      if (child === element) break;
      const chosen = isHtml(child, "source") ? ofSrcset(attribute(child, "srcset")) : null;
      if (chosen !== null) return chosen;
    }
  }
  const chosen = ofSrcset(attribute(element, "srcset"));
  const src = attribute(element, "src");
  return chosen ?? (src === null || src === "" ? null : src);
}

// Parse a srcset attribute, and choose.
function ofSrcset(srcset) {
  if (srcset === null) return null;
  const candidates = [];
  for (const [, url, descriptors] of srcset.matchAll(/[\t\n\f\r ,]*([^\t\n\f\r ]*[^\t\n\f\r ,])(?:,+|[\t\n\f\r ]+([^,(]*(?:\([^)]*\)[^,(]*)*),?|$)/g)) {
    const density = /(?:^|\s)([0-9.]+)x(?:\s|$)/.exec(descriptors ?? "");
    candidates.push({ url, density: density === null ? 1 : Number(density[1]) });
  }
  candidates.sort((a, b) => a.density - b.density);
  return (candidates.find(({ density }) => density >= 1) ?? candidates.at(-1))?.url ?? null;
}

recordSteps.set("img", {
  changed(element, name) {
    if (name === "src" || name === "srcset" || name === "crossorigin" || name === "referrerpolicy" || name === "sizes") {
      if (name === "src" || name === "srcset" || element.own?.image !== undefined) updateImageData(element);
    }
  },
  connected(element) { if (element.parent !== null && isHtml(element.parent, "picture")) updateImageData(element); },
});

// An input of type image loads one too.
recordSteps.set("input", {
  changed(element, name) {
    if ((name === "src" || name === "type") && lowercase(attribute(element, "type") ?? "") === "image" && attribute(element, "src") !== null) {
      updateImageData(element);
    }
  },
});

// What track elements fetch. (HTML, "The track element", "Text tracks".)

import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { fetchForElement } from "./element_fetch.js";
import { attribute, isHtml, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { crossOriginOf } from "./scripts.js";
import { recordSteps } from "./steps.js";

const startsWith = (bytes, text) => [...text].every((character, index) => bytes[index] === character.charCodeAt(0));

// Start the track processing model: a track that is wanted is fetched.
export function loadTrack(element) {
  const own = ownOf(element);
  const src = attribute(element, "src");
  const { parent } = element;
  const isWanted = (own.mode ?? (attribute(element, "default") === null ? "disabled" : "showing")) !== "disabled";
  if (!isWanted || src === null || parent === null || !(isHtml(parent, "audio") || isHtml(parent, "video"))) return;
  const url = src === "" ? null : resolve(element, src);
  if (own.trackUrl === (url ?? "")) return;
  own.trackUrl = url ?? "";
  own.readyState = 1;
  const settle = (type, state) => queueTask("dom", () => {
    own.readyState = state;
    fireEvent(wrap(element), type, true);
  });
  if (url === null) {
    settle("error", 3);
    return;
  }
  const crossOrigin = crossOriginOf(parent);
  fetchForElement({ url, destination: "track", crossOrigin, mode: crossOrigin === null ? "same-origin" : "cors" }).then(async (response) => {
    const bytes = await response.bytes();
    if (!response.isOk || !startsWith(bytes[0] === 0xef ? bytes.subarray(3) : bytes, "WEBVTT")) throw new TypeError("it is not WebVTT");
    settle("load", 2);
  }).catch(() => settle("error", 3));
}
recordSteps.set("track", { connected: loadTrack, changed(element, name) { if (name === "src" || name === "default") loadTrack(element); } });

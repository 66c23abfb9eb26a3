// Audio, video, text tracks, embed and object. (HTML, "Media elements", "The object element".) Nothing is
// decoded: a resource of a media type counts as playable.

import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { lowercase } from "./attributes.js";
import { fetchForElement } from "./element_fetch.js";
import { dimensionsOf } from "./image_headers.js";
import { delayLoad } from "./loading.js";
import { attribute, childrenOf, isConnected, isHtml, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { crossOriginOf } from "./scripts.js";
import { recordSteps } from "./steps.js";

const EMPTY = 0, IDLE = 1, LOADING = 2, NO_SOURCE = 3;
const HAVE_NOTHING = 0, HAVE_ENOUGH_DATA = 4;

export const mediaOf = (element) => (ownOf(element).media ??= { networkState: EMPTY, readyState: HAVE_NOTHING, error: null, currentSrc: "", isPaused: true, generation: 0 });

const isMedia = (contentType, bytes) => /^(audio|video)\/|^application\/(ogg|vnd\.apple\.mpegurl|dash\+xml)/i.test(contentType ?? "") ||
  startsWith(bytes, "OggS") || startsWith(bytes, "RIFF") || startsWith(bytes, "ID3") || startsWith(bytes, "\x1a\x45\xdf\xa3") || startsWith(bytes.subarray(4), "ftyp");
const startsWith = (bytes, text) => [...text].every((character, index) => bytes[index] === character.charCodeAt(0));

// The media element load algorithm, and the resource selection algorithm.
export function loadMedia(element) {
  const media = mediaOf(element);
  media.generation += 1;
  const { generation } = media;
  const isCurrent = () => media.generation === generation;
  if (media.networkState !== EMPTY) fireEvent(wrap(element), "emptied");
  Object.assign(media, { networkState: NO_SOURCE, readyState: HAVE_NOTHING, error: null });
  const release = delayLoad(element.document);
  const steps = (run) => queueTask("dom", () => {
    if (isCurrent()) run();
    else release();
  });
  steps(() => {
    const sources = sourcesOf(element);
    if (sources === null) {
      media.networkState = EMPTY;
      release();
      return;
    }
    media.networkState = LOADING;
    fireEvent(wrap(element), "loadstart", true);
    tryNext(sources);
  });
  // Each candidate in turn.
  const tryNext = (sources) => {
    const [candidate, ...others] = sources;
    const url = candidate === undefined || candidate.src === "" ? null : resolve(element, candidate.src);
    const failed = () => steps(() => {
      if (candidate?.source) fireEvent(wrap(candidate.source), "error", true);
      if (others.length > 0) {
        tryNext(others);
        return;
      }
      media.networkState = NO_SOURCE;
      if (candidate !== undefined && !candidate.source) {
        // Dedicated media source failure steps.
        media.error = { code: 4, message: "The resource cannot be played" };
        fireEvent(wrap(element), "error", true);
      }
      release();
    });
    if (url === null) {
      failed();
      return;
    }
    media.currentSrc = url;
    fetchMedia(element, url).then((isClean) => steps(() => {
      Object.assign(media, { isClean, networkState: IDLE, readyState: HAVE_ENOUGH_DATA });
      for (const type of ["progress", "suspend", "durationchange", "loadedmetadata", "loadeddata", "canplay", "canplaythrough"]) {
        if (isCurrent()) fireEvent(wrap(element), type, true);
      }
      release();
      for (const then of media.onPlayable?.splice(0) ?? []) then();
    }), failed);
  };
}

function sourcesOf(element) {
  const src = attribute(element, "src");
  if (src !== null) return [{ src, source: null }];
  const sources = childrenOf(element).filter((child) => isHtml(child, "source"));
  return sources.length === 0 ? null : sources.map((source) => ({ src: attribute(source, "src") ?? "", source }));
}

async function fetchMedia(element, url) {
  const response = await fetchForElement({ url, destination: element.localName, crossOrigin: crossOriginOf(element), headers: [["Range", "bytes=0-"]] });
  const bytes = await response.bytes();
  if (!response.isOk || !isMedia(response.contentType, bytes)) throw new TypeError("it cannot be played");
  return response.type !== "opaque";
}

for (const name of ["audio", "video"]) {
  recordSteps.set(name, {
    changed(element, attributeName, old, value) { if (attributeName === "src" && value !== null) loadMedia(element); },
  });
}

recordSteps.set("source", {
  connected(element) {
    const { parent } = element;
    if (parent === null || !(isHtml(parent, "audio") || isHtml(parent, "video"))) return;
    if (attribute(parent, "src") === null && mediaOf(parent).networkState === EMPTY) loadMedia(parent);
  },
});

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

// Embed and object: an image, or anything else that was found, is shown; nothing is run.
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

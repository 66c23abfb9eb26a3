// Audio and video: which resource they show. (HTML, "Media elements".) Nothing is decoded: a resource of a
// media type counts as playable.

import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { delayLoad } from "./loading.js";
import { fetchMedia } from "./media_fetch.js";
import { becamePlayable, rejectPendingPlays } from "./media_playback.js";
import { HAVE_ENOUGH_DATA, HAVE_NOTHING, NETWORK, mediaOf } from "./media_state.js";
import { attribute, childrenOf, isHtml, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { recordSteps } from "./steps.js";

// The media element load algorithm, and the resource selection algorithm.
export function loadMedia(element) {
  const media = mediaOf(element);
  media.generation += 1;
  const { generation } = media;
  const isCurrent = () => media.generation === generation;
  if (media.networkState !== NETWORK.EMPTY) {
    fireEvent(wrap(element), "emptied");
    media.isPaused = true;
    rejectPendingPlays(media, "AbortError", "The element shows another resource now");
  }
  Object.assign(media, { networkState: NETWORK.NO_SOURCE, readyState: HAVE_NOTHING, error: null, canAutoplay: true, isClean: true });
  const release = delayLoad(element.document);
  const steps = (run) => queueTask("dom", () => {
    if (isCurrent()) run();
    else release();
  });
  steps(() => {
    const sources = sourcesOf(element);
    if (sources === null) {
      media.networkState = NETWORK.EMPTY;
      release();
      return;
    }
    media.networkState = NETWORK.LOADING;
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
      media.networkState = NETWORK.NO_SOURCE;
      if (candidate !== undefined && !candidate.source) {
        // Dedicated media source failure steps.
        media.error = { code: 4, message: "The resource cannot be played" };
        fireEvent(wrap(element), "error", true);
        rejectPendingPlays(media, "NotSupportedError", "The resource cannot be played");
      }
      release();
    });
    if (url === null) {
      failed();
      return;
    }
    media.currentSrc = url;
    fetchMedia(element, url, isCurrent).then((isClean) => steps(() => {
      Object.assign(media, { isClean, networkState: NETWORK.IDLE, readyState: HAVE_ENOUGH_DATA });
      // The ready states that it goes through tell of playing at once, and fire their events later.
      becamePlayable(element);
      for (const type of ["progress", "suspend", "durationchange", "loadedmetadata", "loadeddata", "canplay", "canplaythrough"]) {
        if (isCurrent()) fireEvent(wrap(element), type, true);
      }
      release();
    }), failed);
  };
}

function sourcesOf(element) {
  const src = attribute(element, "src");
  if (src !== null) return [{ src, source: null }];
  const sources = childrenOf(element).filter((child) => isHtml(child, "source"));
  return sources.length === 0 ? null : sources.map((source) => ({ src: attribute(source, "src") ?? "", source }));
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
    if (attribute(parent, "src") === null && mediaOf(parent).networkState === NETWORK.EMPTY) loadMedia(parent);
  },
});

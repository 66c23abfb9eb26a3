// Playing and pausing, as far as it is told: no time passes. (HTML, "Playing the media resource".)

import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { errorOf } from "../webidl.js";
import { HAVE_FUTURE_DATA, NETWORK, mediaOf } from "./media_state.js";
import { attribute, wrap } from "./nodes.js";

// play(), steps 2 to 5; `select` runs the resource selection algorithm.
export function play(element, select) {
  const media = mediaOf(element);
  if (media.error?.code === 4) return Promise.reject(errorOf("NotSupportedError", "The resource cannot be played"));
  return new Promise((resolve, reject) => {
    media.pendingPlays.push({ resolve, reject });
    internalPlaySteps(element, media, select);
  });
}

function internalPlaySteps(element, media, select) {
  if (media.networkState === NETWORK.EMPTY) select();
  if (media.isPaused) {
    media.isPaused = false;
    queueTask("dom", () => fireEvent(wrap(element), "play", true));
    if (media.readyState < HAVE_FUTURE_DATA) queueTask("dom", () => fireEvent(wrap(element), "waiting", true));
    else notifyAboutPlaying(element, media);
  } else if (media.readyState >= HAVE_FUTURE_DATA) {
    const pending = take(media);
    queueTask("dom", () => resolveAll(pending));
  }
  media.canAutoplay = false;
}

// Internal pause steps.
export function pause(element) {
  const media = mediaOf(element);
  media.canAutoplay = false;
  if (media.isPaused) return;
  media.isPaused = true;
  const pending = take(media);
  queueTask("dom", () => {
    fireEvent(wrap(element), "timeupdate", true);
    fireEvent(wrap(element), "pause", true);
    rejectAll(pending, "AbortError", "It was paused");
  });
}

// The ready state has become HAVE_ENOUGH_DATA. ("Ready states".)
export function becamePlayable(element) {
  const media = mediaOf(element);
  if (!media.isPaused) {
    notifyAboutPlaying(element, media);
    return;
  }
  // Eligible for autoplay.
  if (!media.canAutoplay || attribute(element, "autoplay") === null) return;
  media.isPaused = false;
  queueTask("dom", () => fireEvent(wrap(element), "play", true));
  notifyAboutPlaying(element, media);
}

// Notify about playing.
function notifyAboutPlaying(element, media) {
  const pending = take(media);
  queueTask("dom", () => {
    fireEvent(wrap(element), "playing", true);
    resolveAll(pending);
  });
}

// Take pending play promises, and reject them.
export function rejectPendingPlays(media, name, message) { rejectAll(take(media), name, message); }

const take = (media) => media.pendingPlays.splice(0);

function resolveAll(pending) {
  for (const { resolve } of pending) resolve();
}

function rejectAll(pending, name, message) {
  for (const { reject } of pending) reject(errorOf(name, message));
}

// What is known of an audio or video element. (HTML, "Media elements".)

import { ownOf } from "./nodes.js";

export const NETWORK = { EMPTY: 0, IDLE: 1, LOADING: 2, NO_SOURCE: 3 };
export const HAVE_NOTHING = 0, HAVE_FUTURE_DATA = 3, HAVE_ENOUGH_DATA = 4;

// { networkState, readyState, error, currentSrc, isPaused, canAutoplay, pendingPlays, isClean, generation }: a
// clean one taints no canvas; the generation tells the resource that is asked for from those before it.
export const mediaOf = (element) => (ownOf(element).media ??= {
  networkState: NETWORK.EMPTY, readyState: HAVE_NOTHING, error: null, currentSrc: "", isPaused: true, canAutoplay: true, pendingPlays: [], isClean: true,
  generation: 0,
});

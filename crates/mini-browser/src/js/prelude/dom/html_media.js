// HTMLMediaElement, HTMLAudioElement and HTMLVideoElement. (HTML, "Media elements".)

import { DOMString, HOST, errorOf, idl, illegal, load } from "../webidl.js";
import { HTMLElement } from "./html_element.js";
import { pause, play } from "./media_playback.js";
import { NETWORK, mediaOf } from "./media_state.js";
import { recordOf } from "./node.js";
import { CROSS_ORIGIN, keywords, reflect } from "./reflect.js";
import { loadMedia } from "./resource_media.js";

const errors = new WeakMap();

export class MediaError {
  constructor(...args) {
    illegal(args[0]);
    errors.set(this, args[1]);
  }
  get code() { return errors.get(this).code; }
  get message() { return errors.get(this).message; }
}
idl(MediaError, { constants: { MEDIA_ERR_ABORTED: 1, MEDIA_ERR_NETWORK: 2, MEDIA_ERR_DECODE: 3, MEDIA_ERR_SRC_NOT_SUPPORTED: 4 } });

export class HTMLMediaElement extends HTMLElement {
  #volume = 1;
  #muted = false;
  #rate = 1;
  get error() {
    const media = mediaOf(recordOf(this));
    if (media.error === null) return null;
    return (media.error.object ??= new MediaError(HOST, media.error));
  }
  get currentSrc() { return mediaOf(recordOf(this)).currentSrc; }
  get networkState() { return mediaOf(recordOf(this)).networkState; }
  get readyState() { return mediaOf(recordOf(this)).readyState; }
  get paused() { return mediaOf(recordOf(this)).isPaused; }
  get ended() { recordOf(this); return false; }
  get seeking() { recordOf(this); return false; }
  get duration() { return this.readyState === 0 ? NaN : 0; }
  get currentTime() { recordOf(this); return 0; }
  set currentTime(value) { recordOf(this); Number(value); }
  get srcObject() { recordOf(this); return null; }
  get volume() { return this.#volume; }
  set volume(value) {
    if (!(value >= 0 && value <= 1)) throw errorOf("IndexSizeError", "The volume is not between 0 and 1");
    this.#volume = Number(value);
  }
  get muted() { return this.#muted; }
  set muted(value) { this.#muted = !!value; }
  get playbackRate() { return this.#rate; }
  set playbackRate(value) { this.#rate = Number(value); }
  get textTracks() { return load("dom/text_tracks.js").tracksObject(recordOf(this)); }
  load() { loadMedia(recordOf(this)); }
  canPlayType(type) {
    recordOf(this);
    return /^(audio|video)\/(ogg|webm|mp4|mpeg|wav)|^application\/ogg/i.test(DOMString(type).trim()) ? "maybe" : "";
  }
  play() {
    const record = recordOf(this);
    return play(record, () => loadMedia(record));
  }
  pause() {
    const record = recordOf(this);
    if (mediaOf(record).networkState === NETWORK.EMPTY) loadMedia(record);
    pause(record);
  }
}
reflect(HTMLMediaElement, {
  src: "url", crossOrigin: CROSS_ORIGIN, autoplay: "boolean", loop: "boolean", controls: "boolean", defaultMuted: ["boolean", "muted"],
  preload: ["enumerated", "preload", { values: { ...keywords("none", "metadata", "auto"), "": "auto" }, missing: "metadata" }],
});
idl(HTMLMediaElement, {
  constants: {
    NETWORK_EMPTY: 0, NETWORK_IDLE: 1, NETWORK_LOADING: 2, NETWORK_NO_SOURCE: 3, HAVE_NOTHING: 0, HAVE_METADATA: 1, HAVE_CURRENT_DATA: 2, HAVE_FUTURE_DATA: 3,
    HAVE_ENOUGH_DATA: 4,
  },
});

export class HTMLAudioElement extends HTMLMediaElement {}
idl(HTMLAudioElement);

export class HTMLVideoElement extends HTMLMediaElement {
  get videoWidth() { recordOf(this); return 0; }
  get videoHeight() { recordOf(this); return 0; }
}
reflect(HTMLVideoElement, { width: "unsigned long", height: "unsigned long", poster: "url", playsInline: "boolean" });
idl(HTMLVideoElement);

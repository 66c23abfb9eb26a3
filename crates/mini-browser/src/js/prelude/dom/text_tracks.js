// TextTrack and TextTrackList. (HTML, "Text track API".)

import { EventTarget, defineEventHandler } from "../events.js";
import { DOMString, HOST, idl, illegal } from "../webidl.js";
import { attribute, childrenOf, isHtml, ownOf } from "./nodes.js";
import { loadTrack } from "./resource_tracks.js";

const elements = new WeakMap();

export class TextTrack extends EventTarget {
  constructor(...args) {
    illegal(args[0]);
    super();
    elements.set(this, args[1]);
  }
  get kind() { return attribute(elements.get(this), "kind") ?? "subtitles"; }
  get label() { return attribute(elements.get(this), "label") ?? ""; }
  get language() { return attribute(elements.get(this), "srclang") ?? ""; }
  get id() { return attribute(elements.get(this), "id") ?? ""; }
  get mode() { return ownOf(elements.get(this)).mode ?? (attribute(elements.get(this), "default") === null ? "disabled" : "showing"); }
  set mode(value) {
    const mode = DOMString(value);
    if (!["disabled", "hidden", "showing"].includes(mode)) return;
    const element = elements.get(this);
    ownOf(element).mode = mode;
    loadTrack(element);
  }
  get cues() { return null; }
  get activeCues() { return null; }
}
defineEventHandler(TextTrack, "cuechange");
idl(TextTrack);

// The text track of a track element.
export function trackOf(element) {
  const own = ownOf(element);
  return (own.textTrack ??= new TextTrack(HOST, element));
}

export class TextTrackList extends EventTarget {
  constructor(...args) {
    illegal(args[0]);
    super();
    elements.set(this, args[1]);
  }
  get length() { return tracksOf(elements.get(this)).length; }
  getTrackById(id) { return tracksOf(elements.get(this)).find((track) => track.id === DOMString(id)) ?? null; }
  [Symbol.iterator]() { return tracksOf(elements.get(this))[Symbol.iterator](); }
}
for (const type of ["change", "addtrack", "removetrack"]) defineEventHandler(TextTrackList, type);
idl(TextTrackList);

const tracksOf = (media) => childrenOf(media).filter((child) => isHtml(child, "track")).map(trackOf);

const handler = {
  get(target, key) {
    if (typeof key === "string" && /^\d+$/.test(key)) return tracksOf(elements.get(target))[key];
    const value = Reflect.get(target, key, target);
    return typeof value === "function" ? value.bind(target) : value;
  },
};

// The text tracks of a media element.
export function tracksObject(media) {
  const own = ownOf(media);
  return (own.textTracks ??= new Proxy(new TextTrackList(HOST, media), handler));
}

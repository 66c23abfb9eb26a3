// Which event handlers elements have. (HTML, "GlobalEventHandlers".)

import { handlerAttributeChanged } from "../event_handlers.js";
import { setHandlerChanged } from "./steps.js";
import { wrap } from "./nodes.js";

export const GLOBAL_HANDLERS = ["abort", "auxclick", "beforeinput", "beforematch", "beforetoggle", "blur", "cancel", "canplay", "canplaythrough", "change",
  "click", "close", "contextlost", "contextmenu", "contextrestored", "cuechange", "dblclick", "drag", "dragend", "dragenter", "dragleave", "dragover",
  "dragstart", "drop", "durationchange", "emptied", "ended", "error", "focus", "formdata", "input", "invalid", "keydown", "keypress", "keyup", "load",
  "loadeddata", "loadedmetadata", "loadstart", "mousedown", "mouseenter", "mouseleave", "mousemove", "mouseout", "mouseover", "mouseup", "pause", "play",
  "playing", "progress", "ratechange", "reset", "resize", "scroll", "scrollend", "securitypolicyviolation", "seeked", "seeking", "select", "slotchange",
  "stalled", "submit", "suspend", "timeupdate", "toggle", "volumechange", "waiting", "wheel"];

const known = new Set(GLOBAL_HANDLERS);
// Those of the window that body and frameset have too.
const ofBody = new Set(["afterprint", "beforeprint", "beforeunload", "hashchange", "languagechange", "message", "messageerror", "offline", "online",
  "pagehide", "pageshow", "popstate", "rejectionhandled", "storage", "unhandledrejection", "unload"]);

setHandlerChanged((element, name, value) => {
  const type = name.slice(2);
  const isBody = element.localName === "body" || element.localName === "frameset";
  if (known.has(type) || (isBody && ofBody.has(type))) handlerAttributeChanged(wrap(element), name, value);
});

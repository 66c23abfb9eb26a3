// Event handler content attributes. (HTML, "Event handlers".)

import { op_is_scripting, op_report } from "ops";
import { handlerOf, setHandler } from "../events.js";
import { global } from "../realms.js";
import { setHandlerChanged } from "./steps.js";
import { isHtml, wrap } from "./nodes.js";

// GlobalEventHandlers.
export const GLOBAL_HANDLERS = ["abort", "auxclick", "beforeinput", "beforematch", "beforetoggle", "blur", "cancel", "canplay", "canplaythrough", "change",
  "click", "close", "contextlost", "contextmenu", "contextrestored", "cuechange", "dblclick", "drag", "dragend", "dragenter", "dragleave", "dragover",
  "dragstart", "drop", "durationchange", "emptied", "ended", "error", "focus", "formdata", "input", "invalid", "keydown", "keypress", "keyup", "load",
  "loadeddata", "loadedmetadata", "loadstart", "mousedown", "mouseenter", "mouseleave", "mousemove", "mouseout", "mouseover", "mouseup", "pause", "play",
  "playing", "progress", "ratechange", "reset", "resize", "scroll", "scrollend", "securitypolicyviolation", "seeked", "seeking", "select", "slotchange",
  "stalled", "submit", "suspend", "timeupdate", "toggle", "volumechange", "waiting", "wheel"];

// WindowEventHandlers.
export const WINDOW_HANDLERS = ["afterprint", "beforeprint", "beforeunload", "hashchange", "languagechange", "message", "messageerror", "offline", "online",
  "pagehide", "pageshow", "popstate", "rejectionhandled", "storage", "unhandledrejection", "unload"];

// The Window-reflecting body element event handler set.
const REFLECTING = ["blur", "error", "focus", "load", "resize", "scroll"];

const known = new Set([...GLOBAL_HANDLERS, ...WINDOW_HANDLERS]);
const ofWindow = new Set([...WINDOW_HANDLERS, ...REFLECTING]);

// Determine the target of an event handler: a body's may be its window's.
function targetOf(element, type) {
  if (!ofWindow.has(type) || !(isHtml(element, "body") || isHtml(element, "frameset"))) return WINDOW_HANDLERS.includes(type) ? null : wrap(element);
  return element.document.isShown ? element.document.home.global : null;
}

setHandlerChanged((element, name, value) => {
  const type = name.slice(2);
  if (!known.has(type)) return;
  const target = targetOf(element, type);
  if (target === null) return;
  setHandler(target, type, value === null ? null : compile(element, type, value));
});

const Function = (() => {}).constructor;

// Get the current value of the event handler, its steps for an internal raw uncompiled handler; null if
// it does not compile.
function compile(element, type, body) {
  if (!op_is_scripting()) return null;
  const parameters = type === "error" && ofWindow.has(type) && isHtml(element, "body") ? "event, source, lineno, colno, error" : "event";
  try {
    // What the attribute has must be a function's body by itself.
    new Function(parameters, body);
    const scoped = `with (arguments[0]) { with (arguments[1]) { with (arguments[2]) { return function on${type}(${parameters}) {\n${body}\n}; } } }`;
    const form = element.own?.form ?? null;
    return new Function(scoped)(wrap(element.document), form === null ? Object.create(null) : wrap(form), wrap(element));
  } catch (error) {
    op_report(error);
    return null;
  }
}

// The attributes of body and frameset that are their window's.
export function defineBodyHandlers(Class) {
  for (const type of ofWindow) {
    const accessors = {
      get [`on${type}`]() { return handlerOf(global, type); },
      set [`on${type}`](value) { setHandler(global, type, value); },
    };
    const descriptor = Object.getOwnPropertyDescriptor(accessors, `on${type}`);
    Object.defineProperty(Class.prototype, `on${type}`, { ...descriptor, enumerable: true, configurable: true });
  }
}


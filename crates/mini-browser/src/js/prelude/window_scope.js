// Window. (HTML, "The Window object".)

import { op_child_count, op_child_named, op_focus, op_frame_element, op_incumbent_function, op_is_closed, op_load, op_name, op_navigable, op_related, op_set_hook, op_set_name, op_set_opener } from "ops";
import { EventTarget, defineEventHandler, eventOfWindow, fire, fireEvent } from "./events.js";
import { facts, installGlobalScope, lazyServiceWorkers } from "./global_scope.js";
import { DOMStringList, Location, location, setLocation } from "./location.js";
import { ELEMENT_CONSTRUCTORS, MODULES } from "./dom/interface_names.js";
import { Navigator, navigator } from "./navigator.js";
import { closeWindow } from "./open.js";
import { global, windowProxy } from "./realms.js";
import "./test_report.js";
import { HOST, DOMString, defineUnforgeable, illegal, idl, install, lazy, lazyOperations, load, replaceable } from "./webidl.js";

class Window extends EventTarget {
  constructor() { illegal(arguments[0]); super(); }
  get name() {
    const id = op_navigable();
    return id === undefined || id === null ? "" : op_name(id);
  }
  set name(value) {
    value = DOMString(value);
    const id = op_navigable();
    if (id !== undefined && id !== null) op_set_name(id, value);
  }
  get closed() {
    const id = op_navigable();
    return id === undefined || id === null || op_is_closed(id);
  }
  close() { closeWindow(op_navigable()); }
  stop() {}
  focus() {
    const id = op_navigable();
    if (id !== undefined && id !== null) op_focus(id);
  }
  blur() {}
  alert() {}
  confirm() { return false; }
  prompt() { return null; }
  print() {}
  get opener() { return openerOf(); }
  set opener(value) {
    const id = op_navigable();
    if (value === null) {
      if (id !== undefined && id !== null) op_set_opener(id, null);
    } else {
      Object.defineProperty(global, "opener", { value, writable: true, enumerable: true, configurable: true });
    }
  }
  get frameElement() { return op_frame_element() ?? null; }
  get navigator() { return navigator; }
  get clientInformation() { return navigator; }
  get history() { return op_load("history.js").history; }
  get innerWidth() { return 800; }
  get innerHeight() { return 600; }
}
idl(Window);
for (const type of [
  "afterprint", "beforeprint", "beforeunload", "blur", "error", "focus", "hashchange", "languagechange", "load", "message", "messageerror",
  "offline", "online", "pagehide", "pageshow", "popstate", "rejectionhandled", "resize", "scroll", "storage", "unhandledrejection", "unload",
]) {
  defineEventHandler(Window, type);
}

function openerOf() {
  const id = op_navigable();
  return id === undefined || id === null ? null : op_related(id, "opener") ?? null;
}

// The named properties object. (Web IDL, "[Global] … named properties".) It has an accessor for each
// name that a frame, or an element, of the document has now: a `Proxy` in the prototype chain of the
// global would hide from the engine that a variable is not declared.
const named = Object.create(EventTarget.prototype, { [Symbol.toStringTag]: { value: "WindowProperties", configurable: true } });
Object.setPrototypeOf(Window.prototype, named);

// What else a document names: set by what keeps its tree.
let namedElement = () => undefined;
export function setNamedElement(lookUp) { namedElement = lookUp; }

// Something in the document has this name now, or no longer has it.
export function nameChanged(name) {
  const id = op_navigable();
  const find = () => (id === undefined || id === null ? undefined : op_child_named(id, name) ?? namedElement(name)) ?? undefined;
  if (name === "" || find() === undefined) {
    delete named[name];
    return;
  }
  Object.defineProperty(named, name, {
    get: find,
    set(value) { Object.defineProperty(global, name, { value, writable: true, enumerable: true, configurable: true }); },
    enumerable: false,
    configurable: true,
  });
}
op_set_hook("nameChanged", nameChanged);

installGlobalScope(Window);
install({ Window, Location, DOMStringList, Navigator });
for (const [file, names] of Object.entries(MODULES)) lazy(file, names);
lazy("resource_timing.js", ["PerformanceNavigationTiming"]);
lazy("dom/constructors.js", ELEMENT_CONSTRUCTORS);
lazyOperations("dom/canvas.js", ["createImageBitmap"], global);
lazyOperations("dom/computed_style.js", ["getComputedStyle"], global);
lazy("history.js", ["History"]);
lazy("xhr.js", ["XMLHttpRequest"]);
lazy("xhr_event_targets.js", ["XMLHttpRequestEventTarget", "XMLHttpRequestUpload"]);
lazy("worker.js", ["Worker"]);
lazy("shared_worker.js", ["SharedWorker"]);
lazy("navigation_events.js", ["HashChangeEvent", "PageTransitionEvent", "PopStateEvent"]);

// [LegacyUnforgeable] attributes.
const related = (what) => {
  const id = op_navigable();
  return id === undefined || id === null ? null : op_related(id, what);
};
op_set_hook("set location", (by, self, [url]) => setLocation(by, url));
defineUnforgeable("window", () => windowProxy);
// The document is made when it is first wanted: a window that nobody looks into needs none.
const documents = () => load("dom/window_document.js");
const theDocument = () => documents().documentObject();
defineUnforgeable("document", theDocument);
defineUnforgeable("location", () => location, op_incumbent_function("set location", 1));
defineUnforgeable("top", () => related("top"));
// [Replaceable] ones.
replaceable("self", () => windowProxy);
replaceable("frames", () => windowProxy);
replaceable("parent", () => related("parent"));
replaceable("event", eventOfWindow);
replaceable("length", () => {
  const id = op_navigable();
  return id === undefined || id === null ? 0 : op_child_count(id);
});
Object.defineProperty(global, "globalThis", { value: windowProxy, writable: true, configurable: true });

// Methods that ask which realm's script calls them.
function incumbentMethod(name, length, steps) {
  op_set_hook(name, steps);
  Object.defineProperty(Window.prototype, name, {
    value: op_incumbent_function(name, length), writable: true, enumerable: true, configurable: true,
  });
}
incumbentMethod("postMessage", 1, (by, self, args) => op_load("post_message.js").postToWindow(op_navigable(), by, args));
incumbentMethod("open", 0, (by, self, args) => op_load("open.js").openWindow(by, ...args));

// Focus update steps, for the viewport of this window's document.
op_set_hook("windowBlurred", () => op_load("dom/focus.js").fireFocusEvent(global, "blur"));
op_set_hook("windowFocused", () => op_load("dom/focus.js").fireFocusEvent(global, "focus"));

op_set_hook("windowMessage", (record, origin, source) => op_load("post_message.js").receive(record, origin, source));
op_set_hook("dropWindowMessage", (record) => op_load("cloning.js").drop(record));
op_set_hook("crossOrigin", (trap, args) => op_load("cross_origin.js").windowTrap(trap, args));
op_set_hook("fragment", (oldURL, newURL) => op_load("history.js").traversed(oldURL, newURL));
op_set_hook("traversed", (oldURL, newURL) => op_load("history.js").traversed(oldURL, newURL));
op_set_hook("document", theDocument);
let isOpened = false;
op_set_hook("openDocument", (facts, bytes) => {
  if (facts.isInitialAboutBlank) return;
  isOpened = true;
  documents().openDocument(facts, bytes);
});
op_set_hook("whenLoaded", (then) => documents().whenLoaded(then));

// HTML, "unload a document", and "abort a document", step 4: what is parsed by a script that ends here is parsed no more.
op_set_hook("unload", () => {
  const { PageTransitionEvent } = op_load("navigation_events.js");
  fire(new PageTransitionEvent("pagehide", { persisted: false }), global, true);
  fireEvent(global, "unload", true);
  if (isOpened) documents().abortParsing();
});

op_set_hook("clientMessage", (...message) => op_load("container.js").clientMessage(...message));
if (facts.secure) lazyServiceWorkers();

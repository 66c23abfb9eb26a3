// Frames: the navigables of iframe elements, and of embed and object elements that show a document. (HTML, "The
// iframe element", "The object element".)

import { op_ask_window, op_create_frame, op_destroy_frame, op_is_shown_above, op_navigable, op_navigate, op_related, op_resolve_url, op_set_hook, op_set_name, op_set_sandbox } from "ops";
import { queueTask } from "./event_loop.js";
import { fireEvent } from "./events.js";
import { own } from "./own.js";
import { call } from "./webidl.js";
import { nameChanged } from "./window_scope.js";

// Containers to { id, release }: the number of the navigable, and what lets the load event of the
// document go on.
const frames = new WeakMap();
// The other way round.
const containers = new Map();
// Set by what keeps documents: delays the load event of the container's document, and gives a function
// that no longer does.
let delayLoad = () => () => {};

export function setDelayLoad(delay) { delayLoad = delay; }

// The content navigable of a container, as a number; undefined if it has none.
export const contentNavigable = (element) => frames.get(element)?.id;

// The contentWindow of a container.
export function contentWindow(element) {
  const frame = frames.get(element);
  return frame === undefined ? null : op_related(frame.id, "window") ?? null;
}

// The contentDocument of a container: null across origins.
export function contentDocument(element) {
  const frame = frames.get(element);
  return frame === undefined ? null : op_ask_window(frame.id, "document", null) ?? null;
}

// The HTML element insertion steps of iframe.
function inserted(element) {
  const frame = frames.has(element) ? null : create(element);
  if (frame !== null) process(element, frame, true);
}

// Create a new child navigable: null where none can be.
function create(element) {
  const id = op_navigable();
  if (id === undefined || id === null || !isShown(element)) return null;
  const name = element.getAttribute("name") ?? "";
  const frame = { id: call(op_create_frame, name, element.getAttribute("sandbox"), element.localName), release: null };
  frames.set(element, frame);
  containers.set(frame.id, element);
  if (name !== "") nameChanged(name);
  return frame;
}

// An embed or object element shows a document: false if it cannot.
export function showDocument(element, url) {
  if (op_is_shown_above(url)) return false;
  const frame = frames.get(element) ?? create(element);
  if (frame === null) return false;
  navigate(element, frame, url, { replace: true });
  return true;
}

// It no longer does.
export { removed as hideDocument };

// Only the document of this window has frames.
const isShown = (element) => element.isConnected && element.ownerDocument?.defaultView !== null && element.ownerDocument?.defaultView !== undefined;

// The HTML element removing steps of iframe: destroy a child navigable.
function removed(element) {
  const frame = frames.get(element);
  if (frame === undefined) return;
  frames.delete(element);
  containers.delete(frame.id);
  frame.release?.();
  op_destroy_frame(frame.id);
  const name = element.getAttribute("name") ?? "";
  if (name !== "") nameChanged(name);
}

function attributeChanged(element, name, old, value) {
  const frame = frames.get(element);
  if (frame === undefined) return;
  switch (name) {
    case "srcdoc":
    case "src":
      // Whenever src is set while there is no srcdoc, or srcdoc is set, changed or removed.
      if (name === "srcdoc" || (value !== null && !element.hasAttribute("srcdoc"))) process(element, frame, false);
      break;
    case "name":
      op_set_name(frame.id, value ?? "");
      if (old) nameChanged(old);
      if (value) nameChanged(value);
      break;
    case "sandbox":
      op_set_sandbox(frame.id, value);
      break;
    default:
  }
}

// Process the iframe attributes.
function process(element, frame, initialInsertion) {
  const srcdoc = element.getAttribute("srcdoc");
  if (srcdoc !== null) {
    navigate(element, frame, "about:srcdoc", { resource: srcdoc, replace: initialInsertion });
    return;
  }
  // Shared attribute processing steps for iframe and frame elements.
  const src = element.getAttribute("src");
  let url = "about:blank";
  if (src !== null && src !== "") {
    const parsed = op_resolve_url(own.id, src);
    if (parsed !== null && parsed !== undefined) url = parsed;
  }
  // Step 3: a document in itself would never end.
  if (!isAboutBlank(url) && op_is_shown_above(url)) return;
  if (initialInsertion && isAboutBlank(url)) {
    // Iframe load event steps, at once.
    if (url !== "about:blank") navigate(element, frame, url, { replace: true });
    fireEvent(element, "load");
    return;
  }
  navigate(element, frame, url, { replace: initialInsertion, noReferrer: element.getAttribute("referrerpolicy") === "no-referrer" });
}

const isAboutBlank = (url) => /^about:blank([?#]|$)/.test(url);

// Navigate an iframe or frame.
function navigate(element, frame, url, how) {
  frame.release?.();
  frame.release = delayLoad(element.ownerDocument);
  call(op_navigate, frame.id, own.id, url, how);
}

// The document in a frame has loaded: the iframe load event steps.
op_set_hook("frameLoaded", (id) => {
  const element = containers.get(id);
  if (element === undefined) return;
  const frame = frames.get(element);
  queueTask("document", () => {
    if (frames.get(element) !== frame) return;
    fireEvent(element, "load");
    frame.release?.();
    frame.release = null;
  });
});

// A navigation of a frame came to nothing.
op_set_hook("frameSettled", (id) => {
  const frame = frames.get(containers.get(id));
  frame?.release?.();
  if (frame !== undefined) frame.release = null;
});

op_set_hook("frameElement", (id) => containers.get(id) ?? null);

export const iframeSteps = { inserted, removed, attributeChanged };

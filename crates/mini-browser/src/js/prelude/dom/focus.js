// Focus. (HTML, "Focus", of one document.)

import { op_focus } from "ops";
import { fire } from "../events.js";
import { contentNavigable } from "../iframe.js";
import { load } from "../webidl.js";
import { attribute, wrap } from "./nodes.js";

const FOCUSABLE = ["button", "iframe", "input", "select", "textarea"];

const isFocusable = (element) => attribute(element, "tabindex") !== null || (FOCUSABLE.includes(element.localName) && attribute(element, "disabled") === null) ||
  ((element.localName === "a" || element.localName === "area") && attribute(element, "href") !== null);

// The focusing steps.
export function focus(element) {
  const { document } = element;
  if (!document.isShown || !isFocusable(element)) return;
  // Get the focusable area of a navigable container: its content navigable's document.
  const content = element.localName === "iframe" ? contentNavigable(wrap(element)) : undefined;
  if (content !== undefined) op_focus(content);
  if (document.focused === element) return;
  const old = document.focused ?? null;
  document.focused = element;
  if (old !== null) tell(old, "blur", element);
  tell(element, "focus", old);
}

// The unfocusing steps.
export function blur(element) {
  const { document } = element;
  if (document.focused !== element) return;
  document.focused = null;
  tell(element, "blur", null);
}

// The same for a window, whose events do not bubble.
export function fireFocusEvent(target, type) {
  const { FocusEvent } = load("dom/ui_events.js");
  fire(new FocusEvent(type), target);
}

function tell(element, type, other) {
  const { FocusEvent } = load("dom/ui_events.js");
  fire(new FocusEvent(type, { relatedTarget: wrap(other), composed: true }), wrap(element));
}

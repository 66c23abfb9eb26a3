// UIEvent and those that come from it, and document.createEvent(). (UI Events; Pointer Events; DOM; HTML.)

import { CustomEvent, ErrorEvent } from "../event_classes.js";
import { Event, uninitialize } from "../events.js";
import { global, windowProxy } from "../realms.js";
import { DOMString, dictionary, errorOf, idl, load, required } from "../webidl.js";
import { lowercase } from "./attributes.js";

// An interface whose attributes are what its constructor's dictionary has: name to [convert, default].
function eventInterface(name, Base, members, { constants = {}, more = {} } = {}) {
  const values = new WeakMap();
  const read = (init) => {
    const given = dictionary(init, "The event's init");
    const result = {};
    for (const [member, [convert, fallback]] of Object.entries(members)) {
      result[member] = given[member] === undefined ? fallback : convert(given[member]);
    }
    return result;
  };
  const Class = { [name]: class extends Base {
    constructor(type, ...rest) {
      required(arguments.length, 1, name);
      super(type, ...rest);
      values.set(this, read(rest[0]));
    }
  } }[name];
  for (const member of Object.keys(members)) {
    const accessor = { get [member]() {
      const own = values.get(this);
      if (own === undefined) throw new TypeError("Illegal invocation");
      return own[member];
    } };
    Object.defineProperty(Class.prototype, member, Object.getOwnPropertyDescriptor(accessor, member));
  }
  Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(more));
  stateOf.set(Class, values);
  return idl(Class, { name, constants });
}
const stateOf = new Map();

const long = (value) => Number(value) | 0;
const double = Number;
const nullable = (value) => value ?? null;
const flag = (value) => !!value;

export const UIEvent = eventInterface("UIEvent", Event, { view: [nullable, null], detail: [long, 0], which: [long, 0] }, {
  more: {
    initUIEvent(type, bubbles = false, cancelable = false, view = null, detail = 0) {
      required(arguments.length, 1, "initUIEvent");
      this.initEvent(type, bubbles, cancelable);
      Object.assign(stateOf.get(UIEvent).get(this), { view, detail: long(detail) });
    },
  },
});

const MODIFIERS = { ctrlKey: [flag, false], shiftKey: [flag, false], altKey: [flag, false], metaKey: [flag, false] };

export const MouseEvent = eventInterface("MouseEvent", UIEvent, {
  screenX: [double, 0], screenY: [double, 0], clientX: [double, 0], clientY: [double, 0], ...MODIFIERS, button: [long, 0], buttons: [long, 0],
  relatedTarget: [nullable, null],
}, {
  more: {
    get pageX() { return this.clientX; },
    get pageY() { return this.clientY; },
    get x() { return this.clientX; },
    get y() { return this.clientY; },
    get offsetX() { return this.clientX; },
    get offsetY() { return this.clientY; },
    getModifierState(key) { return this[{ Control: "ctrlKey", Shift: "shiftKey", Alt: "altKey", Meta: "metaKey" }[key]] ?? false; },
    initMouseEvent(type, bubbles = false, cancelable = false, view = null, detail = 0) {
      required(arguments.length, 1, "initMouseEvent");
      this.initUIEvent(type, bubbles, cancelable, view, detail);
    },
  },
});

export const PointerEvent = eventInterface("PointerEvent", MouseEvent, {
  pointerId: [long, 0], width: [double, 1], height: [double, 1], pressure: [double, 0], tangentialPressure: [double, 0], tiltX: [long, 0], tiltY: [long, 0],
  twist: [long, 0], pointerType: [DOMString, ""], isPrimary: [flag, false],
});

export const WheelEvent = eventInterface("WheelEvent", MouseEvent, {
  deltaX: [double, 0], deltaY: [double, 0], deltaZ: [double, 0], deltaMode: [long, 0],
}, { constants: { DOM_DELTA_PIXEL: 0, DOM_DELTA_LINE: 1, DOM_DELTA_PAGE: 2 } });

export const KeyboardEvent = eventInterface("KeyboardEvent", UIEvent, {
  key: [DOMString, ""], code: [DOMString, ""], location: [long, 0], ...MODIFIERS, repeat: [flag, false], isComposing: [flag, false], charCode: [long, 0],
  keyCode: [long, 0],
}, { constants: { DOM_KEY_LOCATION_STANDARD: 0, DOM_KEY_LOCATION_LEFT: 1, DOM_KEY_LOCATION_RIGHT: 2, DOM_KEY_LOCATION_NUMPAD: 3 } });

export const FocusEvent = eventInterface("FocusEvent", UIEvent, { relatedTarget: [nullable, null] });

export const InputEvent = eventInterface("InputEvent", UIEvent, { data: [(value) => (value === null ? null : DOMString(value)), null],
  isComposing: [flag, false], inputType: [DOMString, ""] });

export const SubmitEvent = eventInterface("SubmitEvent", Event, { submitter: [nullable, null] });

// Fire a synthetic pointer event, of an element.click().
export function syntheticClick(window) {
  return new PointerEvent("click", { bubbles: true, cancelable: true, composed: true, view: window === global ? windowProxy : null });
}

// createEvent(), step 1. Only those that this browser has.
const CREATABLE = {
  customevent: () => CustomEvent, errorevent: () => ErrorEvent, event: () => Event, events: () => Event, focusevent: () => FocusEvent,
  hashchangeevent: () => load("navigation_events.js").HashChangeEvent, htmlevents: () => Event, keyboardevent: () => KeyboardEvent,
  messageevent: () => load("message_event.js").MessageEvent, mouseevent: () => MouseEvent, mouseevents: () => MouseEvent, svgevents: () => Event,
  uievent: () => UIEvent, uievents: () => UIEvent,
};

export function createEvent(name) {
  const keyword = lowercase(name);
  if (!Object.hasOwn(CREATABLE, keyword)) throw errorOf("NotSupportedError", `'${name}' is not an event that can be made so`);
  const event = new (CREATABLE[keyword]())("");
  uninitialize(event);
  return event;
}


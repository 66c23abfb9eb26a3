// Event handler content attributes, and the handlers that body and frameset reflect of the window. (HTML,
// "Event handlers".)

import { op_document_url, op_evaluate, op_is_scripting, op_report } from "ops";
import { handlerOf, setHandler, setUncompiledHandler } from "./events.js";
import { global } from "./realms.js";

// The Window-reflecting body element event handler set, and WindowEventHandlers.
const REFLECTED = [
  "blur", "error", "focus", "load", "resize", "scroll",
  "afterprint", "beforeprint", "beforeunload", "hashchange", "languagechange", "message", "messageerror", "offline", "online", "pagehide",
  "pageshow", "popstate", "rejectionhandled", "storage", "unhandledrejection", "unload",
];

// An attribute `on<type>` of an element was set, changed or (null) removed.
export function handlerAttributeChanged(element, attribute, value) {
  const type = attribute.slice(2);
  // Determining the target of an event handler.
  const reflects = isBody(element) && REFLECTED.includes(type);
  if (reflects && element.ownerDocument?.defaultView !== global.window) return;
  const target = reflects ? global : element;
  if (value === null) {
    setHandler(target, type, null);
  } else if (op_is_scripting()) {
    setUncompiledHandler(target, type, () => compile(element, target, type, value));
  }
}

const isBody = ({ localName }) => localName === "body" || localName === "frameset";

// Getting the current value of the event handler, step 3: a function of the attribute's text, or null.
function compile(element, target, type, body) {
  const name = `on${type}`;
  const parameters = type === "error" && target === global ? "event, source, lineno, colno, error" : "event";
  const url = op_document_url();
  try {
    // Step 3.4: the text must be a FunctionBody by itself, and not close what is put around it.
    op_evaluate(`(function ${name}(${parameters}) {\n${body}\n})`, url);
    Reflect.construct(global.Function, [body]);
    const scoped = op_evaluate(
      `(function (document, form, element) { with (document) { with (form) { with (element) { return function ${name}(${parameters}) {\n${body}\n}; } } } })`,
      url,
    );
    return target === global
      ? scoped(element.ownerDocument, {}, {})
      : scoped(element.ownerDocument, element.form ?? {}, element);
  } catch (error) {
    op_report(error);
    return null;
  }
}

// Gives the interface of body or frameset the event handlers of the window.
export function reflectWindowHandlers(Class) {
  for (const type of REFLECTED) {
    Object.defineProperty(Class.prototype, `on${type}`, {
      get() { return handlerOf(global, type); },
      set(value) { setHandler(global, type, value); },
      enumerable: true,
      configurable: true,
    });
  }
}

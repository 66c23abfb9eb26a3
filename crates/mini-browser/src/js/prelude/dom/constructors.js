// Image, Audio and Option. (HTML, "[LegacyFactoryFunction]".)

import { DOMString } from "../webidl.js";
import { setValue } from "./attributes.js";
import { currentDocument } from "./home.js";
import { interfaceNamed } from "./interfaces.js";
import { append } from "./mutation.js";
import { newElement, newText, ownOf, wrap } from "./nodes.js";

function factory(name, interfaceName, make) {
  const constructor = { [name]: function (...args) {
    if (new.target === undefined) throw new TypeError(`${name} is called without new`);
    return wrap(make(...args));
  } }[name];
  Object.defineProperty(constructor, "length", { value: 0, configurable: true });
  Object.defineProperty(constructor, "prototype", { value: interfaceNamed(interfaceName).prototype, writable: false });
  return constructor;
}

export const Image = factory("Image", "HTMLImageElement", (width, height) => {
  const element = newElement(currentDocument(), "img");
  if (width !== undefined) setValue(element, "width", String(width >>> 0));
  if (height !== undefined) setValue(element, "height", String(height >>> 0));
  return element;
});

export const Audio = factory("Audio", "HTMLAudioElement", (src) => {
  const element = newElement(currentDocument(), "audio");
  setValue(element, "preload", "auto");
  if (src !== undefined) setValue(element, "src", DOMString(src));
  return element;
});

export const Option = factory("Option", "HTMLOptionElement", (text = "", value = undefined, defaultSelected = false, selected = false) => {
  const element = newElement(currentDocument(), "option");
  if (text !== "") append(newText(element.document, DOMString(text)), element);
  if (value !== undefined) setValue(element, "value", DOMString(value));
  if (defaultSelected) setValue(element, "selected", "");
  ownOf(element).selected = !!selected;
  return element;
});

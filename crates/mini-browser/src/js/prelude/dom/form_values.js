// What the controls of forms have as their values. (HTML, "Form control infrastructure".)

import { lowercase, setValue } from "./attributes.js";
import { attribute, childTextContent, elementsBelow, isHtml, ownOf, root, textContent } from "./nodes.js";
import { formOf } from "./form_submission.js";

const TYPES = new Set(["hidden", "text", "search", "tel", "url", "email", "password", "date", "month", "week", "time", "datetime-local", "number", "range", "color",
  "checkbox", "radio", "file", "submit", "image", "reset", "button"]);

// The type of an input element; the local name of any other.
export function typeOfInput(element) {
  if (!isHtml(element, "input")) return element.localName;
  const type = lowercase(attribute(element, "type") ?? "text");
  return TYPES.has(type) ? type : "text";
}

// Which mode the value attribute is in.
export function valueMode(element) {
  switch (typeOfInput(element)) {
    case "hidden": case "submit": case "image": case "reset": case "button": return "default";
    case "checkbox": case "radio": return "default/on";
    case "file": return "filename";
    default: return "value";
  }
}

export function valueOf(element) {
  if (isHtml(element, "textarea")) return (element.own?.isDirty ? element.own.value : childTextContent(element)).replace(/\r\n?/g, "\n");
  switch (valueMode(element)) {
    case "default": return attribute(element, "value") ?? "";
    case "default/on": return attribute(element, "value") ?? "on";
    case "filename": return "";
    default: return sanitize(element, element.own?.isDirty ? element.own.value : attribute(element, "value") ?? "");
  }
}

export function writeValue(element, value) {
  if (!isHtml(element, "textarea") && valueMode(element) !== "value") {
    if (valueMode(element) !== "filename") setValue(element, "value", value);
    return;
  }
  const own = ownOf(element);
  own.value = value;
  own.isDirty = true;
}

// The value sanitization algorithm, as far as text goes.
function sanitize(element, value) {
  switch (typeOfInput(element)) {
    case "text": case "search": case "tel": case "password": return value.replace(/[\r\n]/g, "");
    case "url": case "email": return value.replace(/[\r\n]/g, "").trim();
    case "number": return value !== "" && Number.isFinite(Number(value)) ? value : "";
    default: return value;
  }
}

export const isChecked = (element) => element.own?.checked ?? attribute(element, "checked") !== null;

export function setChecked(element, checked) {
  ownOf(element).checked = checked;
  if (!checked || typeOfInput(element) !== "radio") return;
  // The radio button group.
  const name = attribute(element, "name") ?? "";
  if (name === "") return;
  const form = formOf(element);
  for (const other of elementsBelow(root(element), (each) => each !== element && typeOfInput(each) === "radio" && isHtml(each, "input"))) {
    if (attribute(other, "name") === name && formOf(other) === form) ownOf(other).checked = false;
  }
}

export const optionsOf = (select) => elementsBelow(select, (element) => isHtml(element, "option"));
export const optionText = (option) => textContent(option).trim().replace(/[\t\n\f\r ]+/g, " ");
export const optionValue = (option) => attribute(option, "value") ?? optionText(option);

// The selectedness of an option: in a select of one, the last that is selected, or else the first that can be.
export function isSelected(option) {
  const own = option.own?.selected ?? attribute(option, "selected") !== null;
  let select = option.parent;
  while (select !== null && !isHtml(select, "select")) select = select.parent;
  if (select === null || attribute(select, "multiple") !== null) return own;
  const options = optionsOf(select);
  const selected = options.findLast((each) => each.own?.selected ?? attribute(each, "selected") !== null);
  if (selected !== undefined) return selected === option;
  if (select.own?.isPicked) return false;
  return options.find((each) => attribute(each, "disabled") === null) === option;
}

// Makes the options of a select selected of which `test` is true.
export function pick(select, test) {
  ownOf(select).isPicked = true;
  optionsOf(select).forEach((option, index) => { ownOf(option).selected = test(option, index); });
}

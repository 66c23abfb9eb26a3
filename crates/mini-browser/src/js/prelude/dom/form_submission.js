// Submitting and resetting forms. (HTML, "Form submission".)

import { op_form_serialize, op_url_set } from "ops";
import { TextEncoder } from "../encoding.js";
import { Event, fire } from "../events.js";
import { load } from "../webidl.js";
import { activations } from "./activation.js";
import { lowercase } from "./attributes.js";
import { isChecked, isSelected, optionValue, optionsOf, setChecked, typeOfInput, valueOf } from "./form_values.js";
import { navigateFor, targetOf } from "./hyperlinks.js";
import { attribute, elementsBelow, firstElement, isConnected, isHtml, ownOf, root, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";

const LISTED = new Set(["button", "fieldset", "input", "object", "output", "select", "textarea"]);

export const isListed = (element) => LISTED.has(element.localName) && isHtml(element, element.localName);

// The form owner.
export function formOf(element) {
  const id = attribute(element, "form");
  if (id !== null && isConnected(element)) {
    const found = firstElement(root(element), (each) => attribute(each, "id") === id);
    return found !== null && isHtml(found, "form") ? found : null;
  }
  for (let above = element.parent; above !== null; above = above.parent) if (isHtml(above, "form")) return above;
  const parsed = element.own?.form ?? null;
  return parsed !== null && root(parsed) === root(element) ? parsed : null;
}

export const isSubmitButton = (element) => (isHtml(element, "button") && ![ "reset", "button" ].includes(lowercase(attribute(element, "type") ?? ""))) ||
  (isHtml(element, "input") && ["submit", "image"].includes(typeOfInput(element)));

// Submit a form.
export function submitForm(form, submitter, { fromSubmit = false } = {}) {
  const own = ownOf(form);
  // Steps 1 to 5.
  if (!isConnected(form) || !form.document.isShown || own.isConstructing) return;
  if (!fromSubmit) {
    if (own.isFiring) return;
    own.isFiring = true;
    try {
      if (attribute(form, "novalidate") === null && !wrap(form).checkValidity()) return;
      const { SubmitEvent } = load("dom/ui_events.js");
      const goesOn = fire(new SubmitEvent("submit", { bubbles: true, cancelable: true, submitter: wrap(submitter) }), wrap(form));
      if (!goesOn || !isConnected(form)) return;
    } finally {
      own.isFiring = false;
    }
  }
  // Steps 6 and on.
  const entries = entryList(form, submitter);
  const of = (name) => (submitter === null ? null : attribute(submitter, `form${name}`)) ?? attribute(form, name);
  const method = lowercase(of("method") ?? "get");
  if (method === "dialog") return;
  const given = of("action") ?? "";
  const url = given === "" ? form.document.home.urlOf(form.document) : resolve(form, given);
  if (url === null) return;
  const target = (submitter === null ? null : attribute(submitter, "formtarget")) ?? targetOf(form);
  if (method !== "post") {
    // Mutate action URL.
    const scheme = url.slice(0, url.indexOf(":"));
    const { href } = scheme === "http" || scheme === "https" ? op_url_set(url, "search", op_form_serialize(entries)) : { href: url };
    navigateFor(form, href, target);
    return;
  }
  // Submit as entity body.
  const { body, type } = encode(entries, lowercase(of("enctype") ?? ""));
  navigateFor(form, url, target, { method: "POST", body: new TextEncoder().encode(body), bodyType: type });
}

// Constructing the entry list: [name, value] of each entry. No file can be chosen.
export function entryList(form, submitter = null) {
  const entries = [];
  const add = (name, value) => entries.push([name.replace(/\r\n?|\n/g, "\r\n"), value.replace(/\r\n?|\n/g, "\r\n")]);
  for (const field of elementsBelow(root(form), (element) => isListed(element) && formOf(element) === form)) {
    const type = typeOfInput(field);
    const isButton = isHtml(field, "button") || ["submit", "image", "reset", "button"].includes(type);
    if (isDisabled(field) || (isButton && field !== submitter) || isHtml(field, "output") || isHtml(field, "object") || isHtml(field, "fieldset")) continue;
    if ((type === "checkbox" || type === "radio") && isHtml(field, "input") && !isChecked(field)) continue;
    const name = attribute(field, "name") ?? "";
    if (type === "image" && isHtml(field, "input")) {
      const prefix = name === "" ? "" : `${name}.`;
      add(`${prefix}x`, "0");
      add(`${prefix}y`, "0");
      continue;
    }
    if (name === "") continue;
    if (isHtml(field, "select")) {
      for (const option of optionsOf(field)) if (isSelected(option) && attribute(option, "disabled") === null) add(name, optionValue(option));
    } else if (isHtml(field, "button")) {
      add(name, attribute(field, "value") ?? "");
    } else {
      add(name, valueOf(field));
    }
  }
  return entries;
}

function isDisabled(element) {
  if (attribute(element, "disabled") !== null) return true;
  for (let above = element.parent; above !== null; above = above.parent) if (isHtml(above, "fieldset") && attribute(above, "disabled") !== null) return true;
  return false;
}

function encode(entries, enctype) {
  switch (enctype) {
    case "multipart/form-data": {
      const boundary = `----MiniBrowserFormBoundary${Math.random().toString(36).slice(2).padEnd(12, "0")}`;
      const escape = (name) => name.replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/"/g, "%22");
      const parts = entries.map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${escape(name)}"\r\n\r\n${value}\r\n`);
      return { body: `${parts.join("")}--${boundary}--\r\n`, type: `multipart/form-data; boundary=${boundary}` };
    }
    case "text/plain": return { body: entries.map(([name, value]) => `${name}=${value}\r\n`).join(""), type: "text/plain" };
    default: return { body: op_form_serialize(entries), type: "application/x-www-form-urlencoded" };
  }
}

// Reset a form.
export function resetForm(form) {
  const own = ownOf(form);
  if (own.isResetting) return;
  own.isResetting = true;
  const goesOn = fire(new Event("reset", { bubbles: true, cancelable: true }), wrap(form));
  if (goesOn) {
    for (const field of elementsBelow(root(form), (element) => isListed(element) && formOf(element) === form)) {
      const state = ownOf(field);
      state.isDirty = false;
      state.checked = undefined;
      if (isHtml(field, "select")) {
        state.isPicked = false;
        for (const option of optionsOf(field)) ownOf(option).selected = undefined;
      }
    }
  }
  own.isResetting = false;
}

// What a click on a button does.
function press(element) {
  const form = formOf(element);
  if (form === null || isDisabled(element)) return;
  if (isSubmitButton(element)) submitForm(form, element);
  else if (lowercase(attribute(element, "type") ?? "") === "reset") resetForm(form);
}

activations.set("button", { activate: press });
activations.set("input", {
  // The legacy-pre-activation behaviour: a box is checked before listeners are asked.
  before(element) {
    const type = typeOfInput(element);
    if (type !== "checkbox" && type !== "radio") return null;
    const old = isChecked(element);
    setChecked(element, type === "radio" || !old);
    return old;
  },
  canceled(element, old) { if (old !== null) setChecked(element, old); },
  activate(element) {
    const type = typeOfInput(element);
    if (type !== "checkbox" && type !== "radio") {
      press(element);
    } else if (isConnected(element)) {
      fire(new Event("input", { bubbles: true, composed: true }), wrap(element));
      fire(new Event("change", { bubbles: true }), wrap(element));
    }
  },
});

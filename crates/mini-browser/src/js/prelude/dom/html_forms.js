// Forms and their controls. (HTML, "Forms".)

import { fire, fireEvent, Event } from "../events.js";
import { DOMString, errorOf, idl, load } from "../webidl.js";
import { setValue } from "./attributes.js";
import { liveCollection, liveList } from "./collections.js";
import { formOf, isListed, isSubmitButton, resetForm, submitForm } from "./form_submission.js";
import { HTMLElement } from "./html_element.js";
import { preInsert, remove, stringReplaceAll } from "./mutation.js";
import { attribute, childTextContent, elementsBelow, isHtml, ownOf, root, wrap } from "./nodes.js";
import { nodeArgument, recordOf } from "./node.js";
import { isChecked, isSelected, optionText, optionValue, optionsOf, pick, setChecked, typeOfInput, valueMode, valueOf, writeValue } from "./form_values.js";
import { keywords, reflect } from "./reflect.js";

const ENCTYPES = { "application/x-www-form-urlencoded": "application/x-www-form-urlencoded", "multipart/form-data": "multipart/form-data", "text/plain": "text/plain" };
const ENCTYPE = (content, missing) => ["enumerated", content, { values: ENCTYPES, missing, invalid: "application/x-www-form-urlencoded" }];
const METHOD = (content, missing) => ["enumerated", content, { values: keywords("get", "post", "dialog"), missing, invalid: "get" }];
const action = (record, name) => {
  const value = attribute(record, name);
  const { home } = record.document;
  return value === null || value === "" ? home.urlOf(record.document) : home.resolveAgainst(value, home.baseUrlOf(record.document)) ?? value;
};

const kept = new WeakMap();
function same(record, name, make) {
  let own = kept.get(record);
  if (own === undefined) kept.set(record, own = {});
  return (own[name] ??= make());
}

// Members of every control.
function includeControl(Class, { isLabelable = true } = {}) {
  const members = {
    get form() { return wrap(formOf(recordOf(this))); },
    get willValidate() { return attribute(recordOf(this), "disabled") === null; },
    get validationMessage() { return ownOf(recordOf(this)).customError ?? ""; },
    get validity() { return validity(recordOf(this)); },
    checkValidity() { return checkValidity(recordOf(this)); },
    reportValidity() { return checkValidity(recordOf(this)); },
    setCustomValidity(error) { ownOf(recordOf(this)).customError = DOMString(error); },
  };
  Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(members));
  if (!isLabelable) return;
  const labels = {
    get labels() {
      const record = recordOf(this);
      return liveList(record, () => elementsBelow(root(record), (element) => isHtml(element, "label") && labeled(element) === record));
    },
  };
  Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(labels));
}

function validity(record) {
  const valueMissing = attribute(record, "required") !== null && (valueMode(record) === "default/on" ? !isChecked(record) : valueOf(record) === "");
  const customError = (record.own?.customError ?? "") !== "";
  return { valueMissing, customError, badInput: false, patternMismatch: false, rangeOverflow: false, rangeUnderflow: false, stepMismatch: false, tooLong: false,
    tooShort: false, typeMismatch: false, valid: !valueMissing && !customError };
}

function checkValidity(record) {
  if (attribute(record, "disabled") !== null || validity(record).valid) return true;
  fire(new Event("invalid", { cancelable: true }), wrap(record));
  return false;
}

const LABELABLE = new Set(["button", "input", "meter", "output", "progress", "select", "textarea"]);

// A label's labeled control.
function labeled(label) {
  const id = attribute(label, "for");
  const isLabelable = (element) => LABELABLE.has(element.localName) && typeOfInput(element) !== "hidden";
  if (id !== null) return elementsBelow(root(label), (element) => attribute(element, "id") === id).slice(0, 1).find(isLabelable) ?? null;
  return elementsBelow(label, isLabelable)[0] ?? null;
}

export class HTMLFormElement extends HTMLElement {
  get action() { return action(recordOf(this), "action"); }
  set action(value) { setValue(recordOf(this), "action", DOMString(value)); }
  get elements() {
    const record = recordOf(this);
    return same(record, "elements", () => liveCollection(record, () => elementsBelow(root(record), (element) => isListed(element) && typeOfInput(element) !== "image" && formOf(element) === record)));
  }
  get length() { return this.elements.length; }
  submit() { submitForm(recordOf(this), null, { fromSubmit: true }); }
  requestSubmit(submitter = null) {
    const record = recordOf(this);
    let button = null;
    if (submitter !== null && submitter !== undefined) {
      button = nodeArgument(submitter, "requestSubmit");
      if (!isSubmitButton(button)) throw new TypeError("requestSubmit: the submitter is not a submit button");
      if (formOf(button) !== record) throw errorOf("NotFoundError", "The submitter is another form's");
    }
    submitForm(record, button);
  }
  reset() { resetForm(recordOf(this)); }
  checkValidity() { return [...this.elements].map((element) => element.checkValidity?.() ?? true).every((valid) => valid); }
  reportValidity() { return this.checkValidity(); }
  [Symbol.iterator]() { return this.elements[Symbol.iterator](); }
}
reflect(HTMLFormElement, {
  acceptCharset: ["string", "accept-charset"], autocomplete: ["enumerated", "autocomplete", { values: keywords("on", "off"), missing: "on" }],
  enctype: ENCTYPE("enctype", "application/x-www-form-urlencoded"), encoding: ENCTYPE("enctype", "application/x-www-form-urlencoded"),
  method: METHOD("method", "get"), name: "string", noValidate: "boolean", target: "string", rel: "string", relList: ["tokens", "rel"],
});
idl(HTMLFormElement);

export class HTMLInputElement extends HTMLElement {
  get type() { return typeOfInput(recordOf(this)); }
  set type(value) { setValue(recordOf(this), "type", DOMString(value)); }
  get value() { return valueOf(recordOf(this)); }
  set value(value) { writeValue(recordOf(this), value === null ? "" : DOMString(value)); }
  get checked() { return isChecked(recordOf(this)); }
  set checked(value) { setChecked(recordOf(this), !!value); }
  get indeterminate() { return recordOf(this).own?.indeterminate ?? false; }
  set indeterminate(value) { ownOf(recordOf(this)).indeterminate = !!value; }
  get files() {
    // No file can be chosen.
    return this.type === "file" ? (ownOf(recordOf(this)).files ??= load("file.js").newFileList([])) : null;
  }
  get valueAsNumber() { return this.value === "" ? NaN : Number(this.value); }
  set valueAsNumber(value) { this.value = Number.isNaN(Number(value)) ? "" : String(Number(value)); }
  get formAction() { return action(recordOf(this), "formaction"); }
  set formAction(value) { setValue(recordOf(this), "formaction", DOMString(value)); }
  get list() { return null; }
  get complete() { return load("dom/resource_images.js").isComplete(recordOf(this)); }
  select() { fireEvent(this, "select"); }
  setSelectionRange() { recordOf(this); }
  get selectionStart() { return this.value.length; }
  get selectionEnd() { return this.value.length; }
}
includeControl(HTMLInputElement);
reflect(HTMLInputElement, {
  accept: "string", alt: "string", autocomplete: "string", defaultChecked: ["boolean", "checked"], dirName: "string", disabled: "boolean",
  formEnctype: ENCTYPE("formenctype", ""), formMethod: METHOD("formmethod", ""), formNoValidate: "boolean", formTarget: "string",
  height: "unsigned long", max: "string", maxLength: ["long", "maxlength", -1], min: "string", minLength: ["long", "minlength", -1], multiple: "boolean",
  name: "string", pattern: "string", placeholder: "string", readOnly: "boolean", required: "boolean", size: ["unsigned long", "size", 20], src: "url",
  step: "string", defaultValue: ["string", "value"], width: "unsigned long", align: "string", useMap: "string",
});
idl(HTMLInputElement);

export class HTMLButtonElement extends HTMLElement {
  get formAction() { return action(recordOf(this), "formaction"); }
  set formAction(value) { setValue(recordOf(this), "formaction", DOMString(value)); }
}
includeControl(HTMLButtonElement);
reflect(HTMLButtonElement, {
  disabled: "boolean", formEnctype: ENCTYPE("formenctype", ""), formMethod: METHOD("formmethod", ""), formNoValidate: "boolean", formTarget: "string",
  name: "string", type: ["enumerated", "type", { values: keywords("submit", "reset", "button"), missing: "submit" }], value: "string",
});
idl(HTMLButtonElement);

export class HTMLTextAreaElement extends HTMLElement {
  get type() { recordOf(this); return "textarea"; }
  get defaultValue() { return childTextContent(recordOf(this)); }
  set defaultValue(value) { stringReplaceAll(DOMString(value), recordOf(this)); }
  get value() { return valueOf(recordOf(this)); }
  set value(value) { writeValue(recordOf(this), value === null ? "" : DOMString(value)); }
  get textLength() { return this.value.length; }
  select() { fireEvent(this, "select"); }
  setSelectionRange() { recordOf(this); }
}
includeControl(HTMLTextAreaElement);
reflect(HTMLTextAreaElement, {
  autocomplete: "string", cols: ["unsigned long", "cols", 20], dirName: "string", disabled: "boolean", maxLength: ["long", "maxlength", -1],
  minLength: ["long", "minlength", -1], name: "string", placeholder: "string", readOnly: "boolean", required: "boolean", rows: ["unsigned long", "rows", 2],
  wrap: "string",
});
idl(HTMLTextAreaElement);

export class HTMLSelectElement extends HTMLElement {
  get type() { return attribute(recordOf(this), "multiple") === null ? "select-one" : "select-multiple"; }
  get options() {
    const record = recordOf(this);
    return same(record, "options", () => liveCollection(record, () => optionsOf(record)));
  }
  get length() { return optionsOf(recordOf(this)).length; }
  item(index) { return this.options.item(index); }
  namedItem(name) { return this.options.namedItem(name); }
  add(element, before = null) {
    const record = recordOf(this);
    const added = nodeArgument(element, "add");
    const place = typeof before === "number" ? optionsOf(record)[before] ?? null : before === null || before === undefined ? null : nodeArgument(before, "add");
    preInsert(added, place?.parent ?? record, place);
  }
  remove(...args) {
    if (args.length === 0) {
      super.remove();
      return;
    }
    const found = optionsOf(recordOf(this))[Number(args[0]) | 0];
    if (found !== undefined) remove(found);
  }
  get selectedOptions() {
    const record = recordOf(this);
    return liveCollection(record, () => optionsOf(record).filter((option) => isSelected(option)));
  }
  get selectedIndex() { return optionsOf(recordOf(this)).findIndex((option) => isSelected(option)); }
  set selectedIndex(value) { pick(recordOf(this), (_, index) => index === (Number(value) | 0)); }
  get value() {
    const found = optionsOf(recordOf(this)).find((option) => isSelected(option));
    return found === undefined ? "" : optionValue(found);
  }
  set value(value) {
    const string = DOMString(value);
    const record = recordOf(this);
    const wanted = optionsOf(record).find((option) => optionValue(option) === string);
    pick(record, (option) => option === wanted);
  }
  [Symbol.iterator]() { return this.options[Symbol.iterator](); }
}
includeControl(HTMLSelectElement);
reflect(HTMLSelectElement, { autocomplete: "string", disabled: "boolean", multiple: "boolean", name: "string", required: "boolean", size: "unsigned long" });
idl(HTMLSelectElement);

export class HTMLOptionElement extends HTMLElement {
  get form() {
    const select = selectOf(recordOf(this));
    return select === null ? null : wrap(formOf(select));
  }
  get label() { return attribute(recordOf(this), "label") ?? optionText(recordOf(this)); }
  set label(value) { setValue(recordOf(this), "label", DOMString(value)); }
  get selected() { return isSelected(recordOf(this)); }
  set selected(value) {
    const record = recordOf(this);
    const select = selectOf(record);
    if (select === null || attribute(select, "multiple") !== null || !value) ownOf(record).selected = !!value;
    else pick(select, (option) => option === record);
  }
  get value() { return optionValue(recordOf(this)); }
  set value(value) { setValue(recordOf(this), "value", DOMString(value)); }
  get text() { return optionText(recordOf(this)); }
  set text(value) { stringReplaceAll(DOMString(value), recordOf(this)); }
  get index() {
    const select = selectOf(recordOf(this));
    return select === null ? 0 : optionsOf(select).indexOf(recordOf(this));
  }
}
reflect(HTMLOptionElement, { defaultSelected: ["boolean", "selected"], disabled: "boolean" });
idl(HTMLOptionElement);

function selectOf(option) {
  let { parent } = option;
  if (parent !== null && isHtml(parent, "optgroup")) ({ parent } = parent);
  return parent !== null && isHtml(parent, "select") ? parent : null;
}

export class HTMLLabelElement extends HTMLElement {
  get control() { return wrap(labeled(recordOf(this))); }
  get form() {
    const control = labeled(recordOf(this));
    return control === null ? null : wrap(formOf(control));
  }
}
reflect(HTMLLabelElement, { htmlFor: ["string", "for"] });
idl(HTMLLabelElement);

export class HTMLFieldSetElement extends HTMLElement {
  get type() { recordOf(this); return "fieldset"; }
  get elements() {
    const record = recordOf(this);
    return same(record, "elements", () => liveCollection(record, () => elementsBelow(record, isListed)));
  }
}
includeControl(HTMLFieldSetElement, { isLabelable: false });
reflect(HTMLFieldSetElement, { disabled: "boolean", name: "string" });
idl(HTMLFieldSetElement);

export class HTMLOutputElement extends HTMLElement {
  get type() { recordOf(this); return "output"; }
  get value() { return childTextContent(recordOf(this)); }
  set value(value) { stringReplaceAll(DOMString(value), recordOf(this)); }
  get defaultValue() { return this.value; }
  set defaultValue(value) { this.value = value; }
}
includeControl(HTMLOutputElement);
reflect(HTMLOutputElement, { htmlFor: ["tokens", "for"], name: "string" });
idl(HTMLOutputElement);

export class HTMLLegendElement extends HTMLElement {
  get form() {
    const { parent } = recordOf(this);
    return parent !== null && isHtml(parent, "fieldset") ? wrap(formOf(parent)) : null;
  }
}
reflect(HTMLLegendElement, { align: "string" });
idl(HTMLLegendElement);

export class HTMLOptGroupElement extends HTMLElement {}
reflect(HTMLOptGroupElement, { disabled: "boolean", label: "string" });
idl(HTMLOptGroupElement);

export class HTMLDataListElement extends HTMLElement {
  get options() {
    const record = recordOf(this);
    return liveCollection(record, () => elementsBelow(record, (element) => isHtml(element, "option")));
  }
}
idl(HTMLDataListElement);

// Selectors: "parse a selector" and "match a selector against an element". (Selectors 4; DOM,
// "Selectors".)

import { errorOf } from "../webidl.js";
import { lowercase } from "./attributes.js";
import { DOCUMENT, ELEMENT, HTML, attribute, isHtml, root } from "./nodes.js";
import { tokenize } from "./selector_parser.js";

const parsed = new Map();

// A selector list, ready to match; throws a SyntaxError for what is none.
export function parseSelector(text) {
  let list = parsed.get(text);
  if (list === undefined) {
    list = tokenize(text);
    if (list === null) throw errorOf("SyntaxError", `'${text}' is not a valid selector`);
    if (parsed.size > 200) parsed.clear();
    parsed.set(text, list);
  }
  return list;
}

// Whether an element matches a list; `scope` is what `:scope` means.
export function matches(element, list, scope = element) {
  return list.some((complex) => matchesComplex(element, complex, complex.length - 1, scope));
}

export function closest(element, list) {
  for (let next = element; next !== null && next.type === ELEMENT; next = next.parent) if (matches(next, list, element)) return next;
  return null;
}

// A complex selector is [{ compound, combinator }], where the combinator leads to the compound before.
function matchesComplex(element, complex, index, scope) {
  const { compound, combinator } = complex[index];
  if (!compound.every((simple) => matchesSimple(element, simple, scope))) return false;
  if (index === 0) return combinator === null || relativeHolds(element, combinator, scope);
  for (const candidate of candidates(element, combinator)) if (matchesComplex(candidate, complex, index - 1, scope)) return true;
  return false;
}

// The first combinator of a relative selector leads to the element that has it.
const relativeHolds = (element, combinator, scope) => [...candidates(element, combinator)].includes(scope);

function* candidates(element, combinator) {
  switch (combinator) {
    case " ":
      for (let next = element.parent; next !== null; next = next.parent) if (next.type === ELEMENT) yield next;
      break;
    case ">":
      if (element.parent !== null && element.parent.type === ELEMENT) yield element.parent;
      break;
    case "+": {
      const before = elementBefore(element);
      if (before !== null) yield before;
      break;
    }
    default:
      for (let next = elementBefore(element); next !== null; next = elementBefore(next)) yield next;
  }
}

function elementBefore(element) {
  let { previous } = element;
  while (previous !== null && previous.type !== ELEMENT) previous = previous.previous;
  return previous;
}

function elementAfter(element) {
  let { next } = element;
  while (next !== null && next.type !== ELEMENT) next = next.next;
  return next;
}

const isHtmlInHtml = (element) => element.namespace === HTML && element.document.isHtml;

function matchesSimple(element, simple, scope) {
  switch (simple.kind) {
    case "universal": return true;
    case "type": return element.localName === (isHtmlInHtml(element) ? simple.lower : simple.name);
    case "id": return sameName(element, attribute(element, "id"), simple.name);
    case "class": return (attribute(element, "class") ?? "").split(/[\t\n\f\r ]+/).some((name) => sameName(element, name, simple.name));
    case "attribute": return matchesAttribute(element, simple);
    case "never": return false;
    default: return PSEUDO[simple.name](element, simple.argument, scope);
  }
}

// In quirks mode, ids and classes have no case.
function sameName(element, value, name) {
  if (value === null || value === "") return false;
  return value === name || (element.document.mode === "quirks" && lowercase(value) === lowercase(name));
}

function matchesAttribute(element, { name, lower, namespace, operator, value, flag }) {
  const wanted = isHtmlInHtml(element) ? lower : name;
  return element.attributes.some((each) => {
    if (each.localName !== wanted || (namespace !== "*" && each.namespace !== null)) return false;
    if (operator === null) return true;
    const ignoresCase = flag === "i" || (flag === null && isHtmlInHtml(element) && CASELESS.has(wanted));
    const actual = ignoresCase ? lowercase(each.value) : each.value;
    const expected = ignoresCase ? lowercase(value) : value;
    switch (operator) {
      case "=": return actual === expected;
      case "~=": return expected !== "" && !/[\t\n\f\r ]/.test(expected) && actual.split(/[\t\n\f\r ]+/).includes(expected);
      case "|=": return actual === expected || actual.startsWith(`${expected}-`);
      case "^=": return expected !== "" && actual.startsWith(expected);
      case "$=": return expected !== "" && actual.endsWith(expected);
      default: return expected !== "" && actual.includes(expected);
    }
  });
}

// HTML, "Case-sensitivity of selectors".
const CASELESS = new Set(["accept", "accept-charset", "align", "alink", "axis", "bgcolor", "charset", "checked", "clear", "codetype", "color", "compact",
  "declare", "defer", "dir", "direction", "disabled", "enctype", "face", "frame", "hreflang", "http-equiv", "lang", "language", "link", "media",
  "method", "multiple", "nohref", "noresize", "noshade", "nowrap", "readonly", "rel", "rev", "rules", "scope", "scrolling", "selected", "shape",
  "target", "text", "type", "valign", "valuetype", "vlink"]);

const DISABLEABLE = new Set(["button", "input", "select", "textarea", "optgroup", "option", "fieldset"]);

function isDisabled(element) {
  if (element.namespace !== HTML || !DISABLEABLE.has(element.localName)) return false;
  if (attribute(element, "disabled") !== null) return true;
  if (element.localName === "option") return element.parent !== null && isHtml(element.parent, "optgroup") && attribute(element.parent, "disabled") !== null;
  for (let above = element.parent; above !== null; above = above.parent) if (isHtml(above, "fieldset") && attribute(above, "disabled") !== null) return true;
  return false;
}

function position(element, step, isSame) {
  let index = 1;
  for (let next = step(element); next !== null; next = step(next)) if (isSame(next)) index++;
  return index;
}

const sameType = (element) => (other) => other.localName === element.localName && other.namespace === element.namespace;
const any = () => true;
const nth = (index, { a, b }) => (a === 0 ? index === b : (index - b) % a === 0 && (index - b) / a >= 0);
const typeOf = (element) => lowercase(attribute(element, "type") ?? "");
const isLink = (element) => (isHtml(element, "a") || isHtml(element, "area")) && attribute(element, "href") !== null;

// Pseudo-classes; each is given the element, the argument and the scope.
export const PSEUDO = {
  root: (element) => element.parent !== null && element.parent.type === DOCUMENT,
  scope: (element, _, scope) => (scope.type === ELEMENT ? element === scope : element.parent !== null && element.parent === scope && scope.type === DOCUMENT),
  empty(element) {
    for (let child = element.first; child !== null; child = child.next) if (child.type === ELEMENT || (child.data && child.type !== 8)) return false;
    return true;
  },
  "first-child": (element) => elementBefore(element) === null,
  "last-child": (element) => elementAfter(element) === null,
  "only-child": (element) => elementBefore(element) === null && elementAfter(element) === null,
  "first-of-type": (element) => position(element, elementBefore, sameType(element)) === 1,
  "last-of-type": (element) => position(element, elementAfter, sameType(element)) === 1,
  "only-of-type": (element) => position(element, elementBefore, sameType(element)) === 1 && position(element, elementAfter, sameType(element)) === 1,
  "nth-child": (element, step, scope) => (step.of === null || matches(element, step.of, scope)) &&
    nth(position(element, elementBefore, step.of === null ? any : (other) => matches(other, step.of, scope)), step),
  "nth-last-child": (element, step, scope) => (step.of === null || matches(element, step.of, scope)) &&
    nth(position(element, elementAfter, step.of === null ? any : (other) => matches(other, step.of, scope)), step),
  "nth-of-type": (element, step) => nth(position(element, elementBefore, sameType(element)), step),
  "nth-last-of-type": (element, step) => nth(position(element, elementAfter, sameType(element)), step),
  not: (element, list, scope) => !matches(element, list, scope),
  is: (element, list, scope) => matches(element, list, scope),
  where: (element, list, scope) => matches(element, list, scope),
  has: (element, list) => list.some((complex) => hasRelative(element, complex)),
  link: isLink,
  "any-link": isLink,
  visited: () => false,
  target(element) {
    const fragment = element.document.home.urlOf(element.document).split("#")[1];
    return fragment !== undefined && fragment !== "" && attribute(element, "id") === fragment;
  },
  enabled: (element) => element.namespace === HTML && DISABLEABLE.has(element.localName) && !isDisabled(element),
  disabled: isDisabled,
  checked(element) {
    if (isHtml(element, "input")) return (typeOf(element) === "checkbox" || typeOf(element) === "radio") && (element.own?.checked ?? attribute(element, "checked") !== null);
    return isHtml(element, "option") && (element.own?.selected ?? attribute(element, "selected") !== null);
  },
  required: (element) => ["input", "select", "textarea"].includes(element.localName) && attribute(element, "required") !== null,
  optional: (element) => ["input", "select", "textarea"].includes(element.localName) && attribute(element, "required") === null,
  "read-only": (element) => !PSEUDO["read-write"](element),
  "read-write": (element) => (isHtml(element, "input") || isHtml(element, "textarea")) && attribute(element, "readonly") === null && !isDisabled(element),
  focus: (element) => element.document.focused === element,
  "focus-within"(element) {
    for (let next = element.document.focused ?? null; next !== null; next = next.parent) if (next === element) return true;
    return false;
  },
  "focus-visible": (element) => element.document.focused === element,
  hover: () => false,
  active: () => false,
  defined: () => true,
  lang(element, languages) {
    for (let next = element; next !== null && next.type === ELEMENT; next = next.parent) {
      const own = attribute(next, "lang");
      if (own !== null) return languages.some((language) => lowercase(own) === language || lowercase(own).startsWith(`${language}-`));
    }
    return false;
  },
};

// Whether something that a relative selector leads to from `element` is there.
function hasRelative(element, complex) {
  const last = complex.length - 1;
  const top = complex[0].combinator === "+" || complex[0].combinator === "~" ? element.parent ?? root(element) : element;
  const walk = (node) => {
    for (let child = node.first; child !== null; child = child.next) {
      if (child.type !== ELEMENT) continue;
      if (matchesComplex(child, complex, last, element) || walk(child)) return true;
    }
    return false;
  };
  return walk(top);
}


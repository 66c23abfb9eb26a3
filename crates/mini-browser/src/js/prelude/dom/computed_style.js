// getComputedStyle(), as far as it follows from the declarations that sheets and attributes have: their
// cascade and the inheritance of some. (CSSOM; CSS Cascade.) Nothing is laid out: lengths stay as they are
// written, and media queries are not asked.

import { required } from "../webidl.js";
import { colorOf, serializeComputed } from "./canvas.js";
import { nodeArgument } from "./node.js";
import { ELEMENT, attribute, elementsBelow } from "./nodes.js";
import { matches, parseSelector } from "./selectors.js";
import { computedDeclaration, parseDeclarations } from "./style_declaration.js";
import { rulesForCascade } from "./style_sheets.js";

const INHERITED = ["color", "cursor", "direction", "font-family", "font-size", "font-style", "font-weight", "line-height", "list-style-type", "text-align",
  "visibility", "white-space"];
const INITIAL = new Map([["color", "rgb(0, 0, 0)"], ["display", "inline"], ["visibility", "visible"], ["position", "static"], ["opacity", "1"],
  ["background-color", "rgba(0, 0, 0, 0)"], ["background-image", "none"], ["font-size", "16px"], ["font-weight", "400"]]);
const BLOCKS = new Set(["address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4",
  "h5", "h6", "header", "hr", "html", "main", "nav", "ol", "p", "pre", "section", "table", "ul"]);
const HIDDEN = new Set(["head", "link", "meta", "script", "style", "template", "title"]);

export function getComputedStyle(element, pseudo = null) {
  required(arguments.length, 1, "getComputedStyle");
  void pseudo;
  const record = nodeArgument(element, "getComputedStyle");
  if (record.type !== ELEMENT) throw new TypeError("getComputedStyle: the argument is not an Element");
  return computedDeclaration(() => computed(record));
}

// The sheets of a document, in tree order.
export const sheetsOf = (document) => elementsBelow(document, (element) => (element.own?.sheet ?? null) !== null).map((element) => element.own.sheet);

function computed(element) {
  if (!element.isConnected) return new Map();
  const style = new Map(INITIAL);
  if (BLOCKS.has(element.localName)) style.set("display", "block");
  if (HIDDEN.has(element.localName) || attribute(element, "hidden") !== null) style.set("display", "none");
  if (element.parent.type === ELEMENT) {
    const above = computed(element.parent);
    for (const name of INHERITED) if (above.has(name)) style.set(name, above.get(name));
  }
  for (const [name, { value }] of cascaded(element)) {
    const color = name.endsWith("color") ? colorOf(value) : null;
    if (value !== "inherit" && value !== "initial" && value !== "unset") style.set(name, color === null ? value : serializeComputed(color));
  }
  return style;
}

// The declarations that apply, the last of the strongest.
function cascaded(element) {
  const found = [];
  for (const sheet of sheetsOf(element.document)) {
    for (const { selector, body } of rulesForCascade(sheet)) {
      let list;
      try {
        list = parseSelector(selector);
      } catch {
        // A rule whose selector is not valid is dropped.
        continue;
      }
      const specificity = Math.max(-1, ...list.filter((complex) => matches(element, [complex])).map(weight));
      if (specificity >= 0) found.push({ specificity, declarations: parseDeclarations(body) });
    }
  }
  found.sort((a, b) => a.specificity - b.specificity);
  found.push({ declarations: parseDeclarations(attribute(element, "style") ?? "") });
  const applied = new Map();
  for (const { declarations } of found) {
    for (const [name, declaration] of declarations) if (!applied.get(name)?.isImportant || declaration.isImportant) applied.set(name, declaration);
  }
  return applied;
}

// The specificity of a complex selector.
function weight(complex) {
  let sum = 0;
  for (const { compound } of complex) {
    for (const { kind } of compound) sum += { id: 1e6, class: 1e3, attribute: 1e3, pseudo: 1e3, type: 1 }[kind] ?? 0;
  }
  return sum;
}

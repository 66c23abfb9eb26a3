// Style sheets, as far as scripts look into them: their rules as text. (CSSOM.)

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { parseDeclarations } from "./style_declaration.js";

const states = new WeakMap();

function stateOf(object) {
  const state = states.get(object);
  if (state === undefined) throw new TypeError("Illegal invocation");
  return state;
}

export class CSSStyleSheet {
  constructor(...args) { illegal(args[0]); }
  get type() { stateOf(this); return "text/css"; }
  get href() { return stateOf(this).href; }
  get disabled() { return stateOf(this).isDisabled; }
  set disabled(value) { stateOf(this).isDisabled = !!value; }
  get cssRules() { return rulesOf(this); }
  get rules() { return rulesOf(this); }
  insertRule(rule, index = 0) {
    required(arguments.length, 1, "insertRule");
    const rules = rulesOf(this);
    if (index > rules.length) throw errorOf("IndexSizeError", `There is no place ${index}`);
    const [parsed] = topLevelRules(DOMString(rule));
    if (parsed === undefined) throw errorOf("SyntaxError", "It is not a rule");
    rules.splice(index, 0, newRule(parsed));
    return index;
  }
  deleteRule(index) {
    required(arguments.length, 1, "deleteRule");
    const rules = rulesOf(this);
    if (index >= rules.length) throw errorOf("IndexSizeError", `There is no rule ${index}`);
    rules.splice(index, 1);
  }
}
idl(CSSStyleSheet);

export class CSSRule {
  constructor(...args) { illegal(args[0]); }
  get cssText() { return serializeRule(stateOf(this).text); }
  get selectorText() { return stateOf(this).text.split("{")[0].trim(); }
}
idl(CSSRule);

function rulesOf(sheet) {
  const state = stateOf(sheet);
  if (!state.isVisible) throw errorOf("SecurityError", "The style sheet is of another origin");
  state.rules ??= topLevelRules(state.text).map(newRule);
  return state.rules;
}

// A style rule, as CSSOM writes it down.
function serializeRule(text) {
  const rule = styleRule(text);
  if (rule === null) return text;
  const body = [...parseDeclarations(rule.body)].map(([name, { value, isImportant }]) => `${name}: ${value}${isImportant ? " !important" : ""};`).join(" ");
  return `${rule.selector} {${body === "" ? "" : ` ${body}`} }`;
}

// The selector and the declarations of a rule; null for an at-rule.
function styleRule(text) {
  const open = text.indexOf("{");
  if (open < 0 || text.startsWith("@")) return null;
  return { selector: text.slice(0, open).trim().replace(/\s+/g, " "), body: text.slice(open + 1, text.lastIndexOf("}")) };
}

// The style rules of a sheet, whether or not a script may see them.
export function rulesForCascade(sheet) {
  const state = stateOf(sheet);
  if (state.isDisabled) return [];
  return (state.rules?.map((rule) => stateOf(rule).text) ?? topLevelRules(state.text)).map(styleRule).filter((rule) => rule !== null);
}

function newRule(text) {
  const rule = new CSSRule(HOST);
  states.set(rule, { text });
  return rule;
}

export function newStyleSheet({ text, href, isVisible }) {
  const sheet = new CSSStyleSheet(HOST);
  states.set(sheet, { text, href, isVisible, isDisabled: false, rules: null });
  return sheet;
}

const withoutComments = (text) => text.replace(/\/\*[^]*?(\*\/|$)/g, " ");

// The rules of a sheet, each as its text.
function topLevelRules(text) {
  const rules = [];
  let depth = 0;
  let start = 0;
  const source = withoutComments(text);
  for (let at = 0; at < source.length; at++) {
    const character = source[at];
    if (character === '"' || character === "'") {
      for (at++; at < source.length && source[at] !== character; at++) if (source[at] === "\\") at++;
    } else if (character === "{") {
      depth++;
    } else if ((character === "}" && --depth === 0) || (character === ";" && depth === 0)) {
      rules.push(source.slice(start, at + 1).trim());
      start = at + 1;
    }
  }
  return rules.filter((rule) => rule !== ";" && rule !== "}");
}

const URL_TOKEN = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^)"'\s]*))\s*\)/gi;

// Properties whose images are fetched with CORS. (CSS Shapes; CSS Masking.)
const WITH_CORS = /^(?:shape-outside|(?:-webkit-)?mask(?:-image|-border-source)?|clip-path|filter)$/i;

const urlsIn = (text) => Array.from(text.matchAll(URL_TOKEN), ([, double, single, bare]) => double ?? single ?? bare).filter((url) => url !== "");

// What a sheet imports, and which images (with and without CORS) and fonts it names.
export function urlsOfSheet(text) {
  const urls = { imports: [], images: [], corsImages: [], fonts: [] };
  for (const rule of topLevelRules(text)) {
    const imported = /^@import\s+(?:url\(\s*)?(?:"([^"]*)"|'([^']*)'|([^)"'\s;]+))/i.exec(rule);
    if (imported !== null) urls.imports.push(imported[1] ?? imported[2] ?? imported[3]);
    else if (/^@font-face/i.test(rule)) urls.fonts.push(...urlsIn(rule));
    else urlsOfDeclarations(rule, urls);
  }
  return urls;
}

// The same of declarations; gives `urls`.
export function urlsOfDeclarations(text, urls = { images: [], corsImages: [] }) {
  for (const [, name, value] of withoutComments(text).matchAll(/([-\w]+)\s*:((?:"[^"]*"|'[^']*'|\((?:"[^"]*"|'[^']*'|\([^)]*\)|[^)"'(])*\)|[^;"'({}])*)/g)) {
    (WITH_CORS.test(name) ? urls.corsImages : urls.images).push(...urlsIn(value));
  }
  return urls;
}

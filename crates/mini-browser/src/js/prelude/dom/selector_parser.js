// The grammar of selectors. (Selectors 4, "Grammar"; CSS Syntax 3, "Tokenizing".)

import { lowercase } from "./attributes.js";

// The complex selectors of a selector list, each as [{ compound, combinator }]; null if it is none.
export function tokenize(text) {
  const source = { text: text.replace(/\r\n?|\f/g, "\n").replace(/\0/g, "\ufffd"), at: 0 };
  try {
    const list = selectorList(source, false, false);
    return source.at === source.text.length ? list : null;
  } catch (error) {
    if (error === INVALID) return null;
    throw error;
  }
}

const INVALID = { invalid: true };

const NAME_START = /[A-Za-z_\u0080-\u{10ffff}]/u;

function rest(source, pattern) {
  pattern.lastIndex = source.at;
  const match = pattern.exec(source.text);
  if (match === null) return null;
  source.at += match[0].length;
  return match;
}

const peek = (source, ahead = 0) => source.text[source.at + ahead] ?? "";
const space = (source) => rest(source, /(?:[ \t\n]|\/\*[^]*?(?:\*\/|$))+/y) !== null;

function selectorList(source, isRelative, isForgiving) {
  const list = [];
  do {
    space(source);
    if (isForgiving && (peek(source) === ")" || peek(source) === ",")) continue;
    const start = source.at;
    try {
      list.push(complexSelector(source, isRelative));
    } catch (error) {
      if (!isForgiving || error !== INVALID) throw error;
      source.at = start;
      skip(source);
    }
    space(source);
  } while (rest(source, /,/y) !== null);
  return list;
}

// Behind an argument of a forgiving list that is not valid.
function skip(source) {
  let depth = 0;
  for (; source.at < source.text.length; source.at++) {
    const character = peek(source);
    if ("([{".includes(character)) depth++;
    else if (")]}".includes(character) && depth-- === 0) return;
    else if (character === "," && depth === 0) return;
    else if (character === "\\") source.at++;
  }
}

function complexSelector(source, isRelative) {
  const complex = [];
  let combinator = null;
  if (isRelative) {
    combinator = rest(source, /[>+~]/y)?.[0] ?? " ";
    space(source);
  }
  for (;;) {
    complex.push({ compound: compoundSelector(source), combinator });
    const hadSpace = space(source);
    const next = rest(source, /[>+~]/y);
    if (next !== null) {
      combinator = next[0];
      space(source);
    } else if (hadSpace && peek(source) !== "" && peek(source) !== "," && peek(source) !== ")") {
      combinator = " ";
    } else {
      return complex;
    }
  }
}

function compoundSelector(source) {
  const compound = [];
  typeSelector(source, compound);
  for (;;) {
    switch (peek(source)) {
      case "#":
        source.at++;
        if (!startsIdentifier(source)) throw INVALID;
        compound.push({ kind: "id", name: identifier(source) });
        break;
      case ".":
        source.at++;
        compound.push({ kind: "class", name: identifier(source) });
        break;
      case "[":
        source.at++;
        compound.push(attributeSelector(source));
        break;
      case ":":
        source.at++;
        compound.push(pseudoClass(source));
        break;
      default:
        if (compound.length === 0) throw INVALID;
        return compound;
    }
  }
}

function typeSelector(source, compound) {
  // Namespace prefixes: only any and none, as none are declared.
  let name = null;
  if (rest(source, /\*\|(?!=)/y) !== null || rest(source, /\|(?!=)/y) !== null) {
    name = rest(source, /\*/y) !== null ? "*" : identifier(source);
  } else if (rest(source, /\*/y) !== null) {
    name = "*";
  } else if (startsIdentifier(source)) {
    name = identifier(source);
    if (peek(source) === "|" && peek(source, 1) !== "=") throw INVALID;
  }
  if (name === "*") compound.push({ kind: "universal" });
  else if (name !== null) compound.push({ kind: "type", name, lower: lowercase(name) });
}

function attributeSelector(source) {
  space(source);
  let namespace = "";
  if (rest(source, /\*\|(?!=)/y) !== null) namespace = "*";
  else rest(source, /\|(?!=)/y);
  const name = identifier(source);
  space(source);
  let operator = null, value = null, flag = null;
  const found = rest(source, /[~|^$*]?=/y);
  if (found !== null) {
    [operator] = found;
    space(source);
    value = peek(source) === '"' || peek(source) === "'" ? string(source) : identifier(source);
    space(source);
    flag = lowercase(rest(source, /[iIsS](?![-\w])/y)?.[0] ?? "") || null;
    space(source);
  }
  if (rest(source, /\]/y) === null && source.at < source.text.length) throw INVALID;
  return { kind: "attribute", name, lower: lowercase(name), namespace, operator, value, flag };
}

const PLAIN = new Set(["root", "scope", "empty", "first-child", "last-child", "only-child", "first-of-type", "last-of-type", "only-of-type", "link", "any-link",
  "visited", "target", "enabled", "disabled", "checked", "required", "optional", "read-only", "read-write", "focus", "focus-within", "focus-visible",
  "hover", "active", "defined"]);
const ELEMENTS = new Set(["before", "after", "first-line", "first-letter"]);

function pseudoClass(source) {
  if (rest(source, /:/y) !== null) {
    // A pseudo-element is valid, and no element.
    const name = lowercase(identifier(source));
    if (!ELEMENTS.has(name) && !["placeholder", "selection", "marker", "backdrop"].includes(name)) throw INVALID;
    return { kind: "never" };
  }
  const name = lowercase(identifier(source));
  if (peek(source) !== "(") {
    if (PLAIN.has(name)) return { kind: "pseudo", name, argument: null };
    if (ELEMENTS.has(name)) return { kind: "never" };
    throw INVALID;
  }
  source.at++;
  space(source);
  const argument = argumentOf(name, source);
  space(source);
  if (rest(source, /\)/y) === null && source.at < source.text.length) throw INVALID;
  return { kind: "pseudo", name: name === "matches" ? "is" : name, argument };
}

function argumentOf(name, source) {
  switch (name) {
    case "not": return selectorList(source, false, false);
    case "is":
    case "where": return selectorList(source, false, true);
    case "has": return selectorList(source, true, false);
    case "nth-child":
    case "nth-last-child": {
      const step = anPlusB(source);
      space(source);
      const of = rest(source, /of(?=[ \t\n/.#[:*])/iy) === null ? null : selectorList(source, false, false);
      return { ...step, of };
    }
    case "nth-of-type":
    case "nth-last-of-type": return anPlusB(source);
    case "lang": {
      const languages = [];
      do {
        space(source);
        languages.push(lowercase(peek(source) === '"' || peek(source) === "'" ? string(source) : identifier(source)));
        space(source);
      } while (rest(source, /,/y) !== null);
      return languages;
    }
    default: throw INVALID;
  }
}

// The An+B microsyntax.
function anPlusB(source) {
  if (rest(source, /even(?![-\w])/iy) !== null) return { a: 2, b: 0 };
  if (rest(source, /odd(?![-\w])/iy) !== null) return { a: 2, b: 1 };
  const full = rest(source, /([+-]?\d*)n(?:[ \t\n]*([+-])[ \t\n]*(\d+))?(?![-\w])/iy);
  if (full !== null) {
    const [, a, sign, b] = full;
    return { a: a === "" || a === "+" ? 1 : a === "-" ? -1 : Number(a), b: b === undefined ? 0 : Number(sign + b) };
  }
  const number = rest(source, /[+-]?\d+(?![-\w])/y);
  if (number === null) throw INVALID;
  return { a: 0, b: Number(number[0]) };
}

// Would start an ident sequence.
function startsIdentifier(source) {
  const at = (ahead) => String.fromCodePoint(source.text.codePointAt(source.at + ahead) ?? 0);
  const isEscape = (ahead) => peek(source, ahead) === "\\" && peek(source, ahead + 1) !== "\n" && peek(source, ahead + 1) !== "";
  if (peek(source) === "-") return peek(source, 1) === "-" || (peek(source, 1) !== "" && NAME_START.test(at(1))) || isEscape(1);
  return (peek(source) !== "" && NAME_START.test(at(0))) || isEscape(0);
}

// An ident token.
function identifier(source) {
  if (!startsIdentifier(source)) throw INVALID;
  let name = "";
  for (;;) {
    const plain = rest(source, /[-\w\u0080-\u{10ffff}]+/uy);
    if (plain !== null) name += plain[0];
    else if (peek(source) === "\\" && peek(source, 1) !== "\n") name += escape(source);
    else return name;
  }
}

// An escaped code point.
function escape(source) {
  source.at++;
  const hex = rest(source, /([0-9a-f]{1,6})[ \t\n]?/iy);
  if (hex !== null) {
    const code = Number.parseInt(hex[1], 16);
    return code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? "\ufffd" : String.fromCodePoint(code);
  }
  if (source.at >= source.text.length) return "\ufffd";
  const character = String.fromCodePoint(source.text.codePointAt(source.at));
  source.at += character.length;
  return character;
}

// A string token.
function string(source) {
  const quote = peek(source);
  source.at++;
  let value = "";
  for (;;) {
    const character = peek(source);
    if (character === "" || character === quote) {
      source.at++;
      if (source.at > source.text.length) source.at = source.text.length;
      return value;
    }
    if (character === "\n") throw INVALID;
    if (character === "\\") {
      if (peek(source, 1) === "\n") source.at += 2;
      else value += escape(source);
    } else {
      value += character;
      source.at++;
    }
  }
}

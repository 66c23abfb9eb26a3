// Attributes that reflect content attributes. (HTML, "Reflecting content attributes in IDL attributes".)

import { op_url_parse } from "ops";
import { DOMString, USVString } from "../webidl.js";
import { lowercase, removeNamed, setValue } from "./attributes.js";
import { attribute } from "./nodes.js";
import { recordOf } from "./node.js";
import { tokenList } from "./token_list.js";

// Gives an interface attributes. `attributes` has for each its type, or [type, content attribute, …].
// Types: "string", "nullable" (string or null), "boolean", "url", "long" and "unsigned long" (with a
// default), "enumerated" (with { values, missing, invalid, empty? }: keyword to shown value), "tokens".
export function reflect(Class, attributes) {
  for (const [name, described] of Object.entries(attributes)) {
    const [type, content = lowercase(name), more = undefined] = Array.isArray(described) ? described : [described];
    const { get, set } = ACCESSORS[type](content ?? lowercase(name), more);
    const accessors = {
      get [name]() { return get(recordOf(this), this); },
      set [name](value) { set(recordOf(this), value, this); },
    };
    const descriptor = Object.getOwnPropertyDescriptor(accessors, name);
    Object.defineProperty(Class.prototype, name, { ...descriptor, enumerable: true, configurable: true });
  }
}

const ACCESSORS = {
  string: (content) => ({
    get: (element) => attribute(element, content) ?? "",
    set: (element, value) => setValue(element, content, DOMString(value)),
  }),
  nullable: (content) => ({
    get: (element) => attribute(element, content),
    set(element, value) {
      if (value === null || value === undefined) removeNamed(element, content);
      else setValue(element, content, DOMString(value));
    },
  }),
  boolean: (content) => ({
    get: (element) => attribute(element, content) !== null,
    set(element, value) {
      if (value) setValue(element, content, "");
      else removeNamed(element, content);
    },
  }),
  url: (content) => ({
    get(element) {
      const value = attribute(element, content);
      return value === null || value === "" && content !== "href" ? "" : resolve(element, value) ?? value.toWellFormed();
    },
    set: (element, value) => setValue(element, content, USVString(value)),
  }),
  long: (content, fallback = 0) => integer(content, fallback, (value) => Number(value) | 0),
  "unsigned long": (content, fallback = 0) => integer(content, fallback, (value) => {
    const number = Number(value) >>> 0;
    return number > 0x7fffffff ? fallback : number;
  }),
  enumerated: (content, { values, missing = "", invalid = missing, isNullable = false }) => ({
    get(element) {
      const value = attribute(element, content);
      if (value === null) return missing;
      const keyword = lowercase(value);
      return Object.hasOwn(values, keyword) ? values[keyword] : invalid;
    },
    set(element, value) {
      if (isNullable && (value === null || value === undefined)) removeNamed(element, content);
      else setValue(element, content, DOMString(value));
    },
  }),
  tokens: (content, supported) => {
    const lists = new WeakMap();
    const listOf = (element) => {
      let list = lists.get(element);
      if (list === undefined) lists.set(element, list = tokenList(element, content, supported));
      return list;
    };
    return { get: listOf, set: (element, value) => { listOf(element).value = value; } };
  },
};

function integer(content, fallback, convert) {
  return {
    get(element) {
      // Rules for parsing integers.
      const match = /^[\t\n\f\r ]*([+-]?[0-9]+)/.exec(attribute(element, content) ?? "");
      if (match === null) return fallback;
      const value = Number(match[1]);
      return value > 0x7fffffff || value < -0x80000000 || (fallback >= 0 && convert(-1) !== -1 && value < 0) ? fallback : value;
    },
    set: (element, value) => setValue(element, content, String(convert(value))),
  };
}

// Encoding-parse a URL relative to the node document; null for failure.
export function resolve(element, url) {
  const parsed = op_url_parse(url.toWellFormed(), element.document.home.baseUrlOf(element.document));
  return parsed?.href ?? null;
}

// Keywords that are shown as they are.
export const keywords = (...names) => Object.fromEntries(names.map((name) => [name, name]));

export const CROSS_ORIGIN = ["enumerated", "crossorigin", {
  values: { anonymous: "anonymous", "use-credentials": "use-credentials" }, missing: null, invalid: "anonymous", isNullable: true,
}];

const POLICIES = keywords("", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
  "strict-origin-when-cross-origin", "unsafe-url");
export const REFERRER_POLICY = ["enumerated", "referrerpolicy", { values: POLICIES }];

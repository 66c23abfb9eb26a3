// URLPattern. (URL Pattern.)

import { op_url_pattern_create, op_url_pattern_input } from "ops";
import { brands } from "./brands.js";
import { USVString, call, dictionary, idl } from "./webidl.js";

const { RegExp } = globalThis;
const { exec } = RegExp.prototype;
const { apply } = Reflect;

// The components, in the order in which they are created and matched.
const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];
// Those that `ignoreCase` is about.
const IGNORING = ["pathname", "search", "hash"];
// The members of dictionaries, in the order in which Web IDL converts them.
const INIT = ["baseURL", "hash", "hostname", "password", "pathname", "port", "protocol", "search", "username"];
const RESULT = ["hash", "hostname", "inputs", "password", "pathname", "port", "protocol", "search", "username"];

let argumentsOf;

export class URLPattern {
  // For each component { pattern, regexp, names, hasRegExpGroups }.
  #components;
  // What it was created with: { input, baseURL, ignoreCase }.
  #arguments;

  constructor(input = {}, baseURL = undefined, options = undefined) {
    // The overload without a base URL: two arguments, of which the second can be no string.
    const hasBase = arguments.length > 2 || (arguments.length === 2 && isString(baseURL));
    if (!hasBase) options = baseURL;
    const given = {
      input: urlPatternInput(input),
      baseURL: hasBase ? USVString(baseURL) : null,
      ignoreCase: Boolean(dictionary(options, "The options of a URLPattern").ignoreCase),
    };
    // *Create*.
    const components = call(op_url_pattern_create, given.input, given.baseURL, given.ignoreCase);
    for (const name of COMPONENTS) {
      const component = components[name];
      const flags = given.ignoreCase && IGNORING.includes(name) ? "vi" : "v";
      try {
        component.regexp = new RegExp(engineSource(component.regexp), flags);
      } catch (error) {
        throw new TypeError(`URLPattern: the ${name} is no regular expression: ${error.message}`);
      }
    }
    this.#components = components;
    this.#arguments = given;
  }

  get protocol() { return this.#components.protocol.pattern; }
  get username() { return this.#components.username.pattern; }
  get password() { return this.#components.password.pattern; }
  get hostname() { return this.#components.hostname.pattern; }
  get port() { return this.#components.port.pattern; }
  get pathname() { return this.#components.pathname.pattern; }
  get search() { return this.#components.search.pattern; }
  get hash() { return this.#components.hash.pattern; }
  get hasRegExpGroups() {
    const components = this.#components;
    return COMPONENTS.some((name) => components[name].hasRegExpGroups);
  }

  test(input = {}, baseURL = undefined) { return match(this.#components, input, baseURL) !== null; }
  exec(input = {}, baseURL = undefined) { return match(this.#components, input, baseURL); }

  static {
    argumentsOf = (value) => (typeof value === "object" && value !== null && #arguments in value ? value.#arguments : null);
  }
}
idl(URLPattern);
Object.defineProperty(URLPattern, "length", { value: 0, configurable: true });

// What a URLPattern of this realm was created with; null for anything else.
brands.urlPatternArguments = argumentsOf;

const isString = (value) => value !== undefined && value !== null && typeof value !== "object" && typeof value !== "function";

// What the engine takes for the syntax of class sets outside of classes as well, alone or doubled: it is written by
// its code there, which means the same.
const PUNCTUATION = "-/";
const DOUBLED = "&!#%,:;<=>@`~";

function engineSource(source) {
  let classes = 0;
  let before = "";
  let result = "";
  for (let i = 0; i < source.length; i++) {
    const unit = source[i];
    if (unit === "\\") {
      result += unit + (source[++i] ?? "");
      before = "";
      continue;
    }
    if (unit === "[") classes++;
    else if (unit === "]" && classes > 0) classes--;
    const isTaken = classes === 0 && (PUNCTUATION.includes(unit) || (unit === before && DOUBLED.includes(unit)));
    result += isTaken ? `\\x${unit.charCodeAt(0).toString(16)}` : unit;
    before = unit;
  }
  return result;
}

// URLPatternInput: (USVString or URLPatternInit).
function urlPatternInput(value) { return isString(value) ? USVString(value) : urlPatternInit(value); }

// URLPatternInit: the members that are there.
export function urlPatternInit(value) {
  const given = dictionary(value, "URLPatternInit");
  const init = {};
  for (const name of INIT) {
    const member = given[name];
    if (member !== undefined) init[name] = USVString(member);
  }
  return init;
}

// *Match*.
function match(components, rawInput, rawBase) {
  const input = urlPatternInput(rawInput);
  const baseURL = rawBase === undefined ? null : USVString(rawBase);
  const found = call(op_url_pattern_input, input, baseURL);
  if (found === null) return null;
  const results = { inputs: baseURL === null ? [input] : [input, baseURL] };
  for (const name of COMPONENTS) {
    const matched = apply(exec, components[name].regexp, [found[name]]);
    if (matched === null) return null;
    // *Create a component match result*.
    const groups = {};
    components[name].names.forEach((group, index) => {
      Object.defineProperty(groups, group, { value: matched[index + 1], writable: true, enumerable: true, configurable: true });
    });
    results[name] = { groups, input: found[name] };
  }
  return Object.fromEntries(RESULT.map((name) => [name, results[name]]));
}

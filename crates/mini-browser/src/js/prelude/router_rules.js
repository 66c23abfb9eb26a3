// The dictionaries of addRoutes(). (Service Workers, "InstallEvent".)

import { op_load } from "ops";
import { brands } from "./brands.js";
import { nameToHost } from "./cache_names.js";
import { ByteString, DOMString, USVString, dictionary, enumeration, sequenceOver, sequence } from "./webidl.js";

const SOURCES = ["cache", "fetch-event", "network", "race-network-and-fetch-handler"];
const MODES = ["navigate", "same-origin", "no-cors", "cors"];
const DESTINATIONS = [
  "", "audio", "audioworklet", "document", "embed", "font", "frame", "iframe", "image", "json", "manifest", "object",
  "paintworklet", "report", "script", "sharedworker", "style", "track", "video", "worker", "xslt",
];

// (RouterRule or sequence<RouterRule>), as the host takes it.
export function routerRules(value) {
  if (isObject(value)) {
    const method = value[Symbol.iterator];
    if (method !== undefined && method !== null) {
      if (typeof method !== "function") throw new TypeError("addRoutes: the rules are not iterable");
      return sequenceOver(value, method, routerRule);
    }
  }
  return [routerRule(value)];
}

// RouterRule.
function routerRule(value) {
  const rule = dictionary(value, "A router rule");
  const { condition } = rule;
  if (condition === undefined) throw new TypeError("addRoutes: a rule has no condition");
  const converted = { condition: routerCondition(condition) };
  const { source } = rule;
  if (source === undefined) throw new TypeError("addRoutes: a rule has no source");
  return { ...converted, ...routerSource(source) };
}

// RouterCondition: its members in Web IDL's order.
function routerCondition(value) {
  const given = dictionary(value, "A router condition");
  const condition = {};
  const member = (name, convert) => {
    const raw = given[name];
    if (raw !== undefined) condition[name] = convert(raw);
  };
  member("not", routerCondition);
  member("or", (or) => sequence(or, routerCondition, "or"));
  member("requestDestination", (word) => enumeration(word, DESTINATIONS, "requestDestination"));
  member("requestMethod", ByteString);
  member("requestMode", (word) => enumeration(word, MODES, "requestMode"));
  member("runningStatus", (word) => enumeration(word, ["running", "not-running"], "runningStatus"));
  member("urlPattern", urlPatternCompatible);
  return condition;
}

// RouterSource: (RouterSourceDict or RouterSourceEnum).
function routerSource(value) {
  if (value !== null && !isObject(value)) return { source: enumeration(value, SOURCES, "source") };
  const { cacheName } = dictionary(value, "A router source");
  // The standard leaves open what a source without one is; nothing can come from it.
  if (cacheName === undefined) throw new TypeError("addRoutes: a source has no cacheName");
  return { cacheName: nameToHost(DOMString(cacheName)) };
}

// URLPatternCompatible.
function urlPatternCompatible(value) {
  const pattern = brands.urlPatternArguments(value);
  if (pattern !== null) return { isObject: true, ...pattern };
  if (value !== null && !isObject(value)) return USVString(value);
  return op_load("url_pattern.js").urlPatternInit(value);
}

const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

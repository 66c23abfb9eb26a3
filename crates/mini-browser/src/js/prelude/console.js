// console. (Console.)

import { op_console, op_now } from "ops";

const LIMIT = 100;
const DEPTH = 4;
const sourceOf = Function.prototype.toString;

function quote(string) { return JSON.stringify(string); }

// A value as people like to read it. No getter runs.
export function inspect(value, depth = DEPTH, seen = []) {
  switch (typeof value) {
    case "string": return seen.length > 0 ? quote(value) : value;
    case "bigint": return `${value}n`;
    case "symbol": return value.toString();
    case "function": {
      const name = Object.getOwnPropertyDescriptor(value, "name")?.value;
      const kind = Reflect.apply(sourceOf, value, []).startsWith("class") ? "class" : "function";
      return `[${kind} ${typeof name === "string" && name !== "" ? name : "(anonymous)"}]`;
    }
    case "object": break;
    default: return Object.is(value, -0) ? "-0" : String(value);
  }
  if (value === null) return "null";
  if (seen.includes(value)) return "[Circular]";
  try {
    return inspectObject(value, depth, [...seen, value]);
  } catch {
    return "[object that cannot be inspected]";
  }
}

function inspectObject(object, depth, seen) {
  if (object instanceof Error) return inspectError(object, depth, seen);
  const inner = (value) => inspect(value, depth - 1, seen);
  if (Array.isArray(object)) {
    return depth <= 0 ? "[Array]" : list("[", object.slice(0, LIMIT).map(inner), object.length, "]");
  }
  const tag = Object.prototype.toString.call(object).slice(8, -1);
  if (ArrayBuffer.isView(object) && tag !== "DataView") {
    return `${tag}(${object.length}) ${list("[", Array.from(object.subarray(0, LIMIT), String), object.length, "]")}`;
  }
  switch (tag) {
    case "Date": return Number.isNaN(object.getTime()) ? "Invalid Date" : object.toISOString();
    case "RegExp": return String(object);
    case "ArrayBuffer": return `ArrayBuffer(${object.byteLength})`;
    case "Promise": return "Promise {}";
    case "Map":
      return depth <= 0 ? "[Map]" : `Map(${object.size}) ${list("{", [...object].slice(0, LIMIT).map(([key, value]) => `${inner(key)} => ${inner(value)}`), object.size, "}")}`;
    case "Set":
      return depth <= 0 ? "[Set]" : `Set(${object.size}) ${list("{", [...object].slice(0, LIMIT).map(inner), object.size, "}")}`;
  }
  const prototype = Object.getPrototypeOf(object);
  const name = tag !== "Object" ? tag : prototype === null ? "[null prototype]" : prototype === Object.prototype ? "" : className(prototype);
  const prefix = name ? `${name} ` : "";
  if (depth <= 0) return `[${name || "Object"}]`;
  const keys = Reflect.ownKeys(object).filter((key) => Object.getOwnPropertyDescriptor(object, key)?.enumerable);
  const members = keys.slice(0, LIMIT).map((key) => {
    const { value, get, set } = Object.getOwnPropertyDescriptor(object, key);
    const shown = get || set ? `[${[get && "Getter", set && "Setter"].filter(Boolean).join("/")}]` : inner(value);
    return `${typeof key === "symbol" ? `[${key.toString()}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key)}: ${shown}`;
  });
  return prefix + list("{", members, keys.length, "}");
}

function className(prototype) {
  const constructor = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  const name = typeof constructor === "function" ? Object.getOwnPropertyDescriptor(constructor, "name")?.value : undefined;
  return typeof name === "string" ? name : "";
}

function inspectError(error, depth, seen) {
  const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
  const head = error.message ? `${error.name}: ${error.message}` : `${error.name}`;
  let text = stack ? `${head}\n${stack}` : head;
  if (Object.hasOwn(error, "cause")) text += `\n  [cause]: ${inspect(error.cause, depth - 1, seen)}`;
  return text;
}

function list(open, items, length, close) {
  if (items.length === 0) return `${open}${close}`;
  if (length > items.length) items.push(`… ${length - items.length} more`);
  const line = items.join(", ");
  if (line.length <= 100 && !line.includes("\n")) return open === "{" ? `{ ${line} }` : `[${line}]`;
  return `${open}\n${items.map((item) => `  ${item.replaceAll("\n", "\n  ")}`).join(",\n")}\n${close}`;
}

// Console, "Formatter", then each argument inspected.
function format(args) {
  const rest = [...args];
  let text = "";
  if (typeof rest[0] === "string" && rest.length > 1) {
    text = rest.shift().replace(/%[sdifoOc%]/g, (directive) => {
      if (directive === "%%") return "%";
      if (rest.length === 0) return directive;
      const value = rest.shift();
      switch (directive) {
        case "%s": return typeof value === "string" ? value : inspect(value, 1);
        case "%d":
        case "%i": return typeof value === "symbol" ? "NaN" : String(Number.parseInt(value, 10));
        case "%f": return typeof value === "symbol" ? "NaN" : String(Number.parseFloat(value));
        case "%c": return "";
        default: return inspect(value);
      }
    });
  } else if (rest.length > 0) {
    text = inspect(rest.shift());
  }
  return [text, ...rest.map((value) => inspect(value))].join(" ");
}

let indent = "";
const counts = new Map();
const timers = new Map();

function print(level, text) {
  op_console(level, (indent + text.replaceAll("\n", `\n${indent}`)).toWellFormed());
}

function table(data) {
  if (typeof data !== "object" || data === null) return inspect(data);
  const rows = Object.entries(data).map(([index, row]) => [index, typeof row === "object" && row !== null ? row : { Value: row }]);
  const columns = [...new Set(rows.flatMap(([, row]) => Object.keys(row)))];
  const cells = [["(index)", ...columns], ...rows.map(([index, row]) => [index, ...columns.map((column) => (Object.hasOwn(row, column) ? inspect(row[column], 1, [row]) : ""))])];
  const widths = cells[0].map((_, at) => Math.max(...cells.map((row) => row[at].length)));
  return cells.map((row) => row.map((cell, at) => cell.padEnd(widths[at])).join(" │ ").trimEnd()).join("\n");
}

export const console = {
  log(...args) { print("info", format(args)); },
  info(...args) { print("info", format(args)); },
  debug(...args) { print("debug", format(args)); },
  warn(...args) { print("warn", format(args)); },
  error(...args) { print("error", format(args)); },
  trace(...args) { print("info", `Trace: ${format(args)}\n${new Error().stack ?? ""}`.trimEnd()); },
  dir(value) { print("info", inspect(value)); },
  dirxml(...args) { print("info", format(args)); },
  table(data) { print("info", table(data)); },
  assert(condition = false, ...args) {
    if (!condition) print("error", args.length > 0 ? `Assertion failed: ${format(args)}` : "Assertion failed");
  },
  clear() { indent = ""; },
  count(label = "default") {
    const count = (counts.get(`${label}`) ?? 0) + 1;
    counts.set(`${label}`, count);
    print("info", `${label}: ${count}`);
  },
  countReset(label = "default") { counts.delete(`${label}`); },
  group(...args) { if (args.length > 0) print("info", format(args)); indent += "  "; },
  groupCollapsed(...args) { console.group(...args); },
  groupEnd() { indent = indent.slice(2); },
  time(label = "default") { timers.set(`${label}`, op_now()); },
  timeLog(label = "default", ...args) {
    const start = timers.get(`${label}`);
    if (start !== undefined) print("info", format([`${label}: ${(op_now() - start).toFixed(3)} ms`, ...args]));
  },
  timeEnd(label = "default") { console.timeLog(label); timers.delete(`${label}`); },
};
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });

// MIME types. (MIME Sniffing, "Parsing a MIME type", "Serializing a MIME type"; Fetch, "Extract a MIME type".)

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const QUOTED = /^[\t\x20-\x7e\x80-\xff]*$/;
const trim = (string) => string.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");

// *Parse a MIME type*: `{ essence, parameters }`, where `parameters` is a Map; null for failure.
export function parseMimeType(input) {
  const string = trim(input);
  // Steps 3 to 9.
  const slash = string.indexOf("/");
  if (slash < 0) return null;
  const semicolon = string.indexOf(";", slash);
  const type = string.slice(0, slash);
  const subtype = string.slice(slash + 1, semicolon < 0 ? undefined : semicolon).replace(/[\t\n\r ]+$/, "");
  if (!TOKEN.test(type) || !TOKEN.test(subtype)) return null;
  const parameters = new Map();
  // Step 11.
  let at = semicolon < 0 ? string.length : semicolon;
  while (at < string.length) {
    at += 1;
    while (/[\t\n\r ]/.test(string[at] ?? "")) at += 1;
    const nameEnd = indexOfAny(string, /[;=]/g, at);
    const name = string.slice(at, nameEnd).toLowerCase();
    at = nameEnd;
    if (at >= string.length) break;
    if (string[at] === ";") continue;
    at += 1;
    let value;
    if (string[at] === '"') {
      [value, at] = quotedString(string, at);
      at = indexOfAny(string, /;/g, at);
    } else {
      const end = indexOfAny(string, /;/g, at);
      value = string.slice(at, end).replace(/[\t\n\r ]+$/, "");
      at = end;
      if (value === "") continue;
    }
    if (TOKEN.test(name) && QUOTED.test(value) && !parameters.has(name)) parameters.set(name, value);
  }
  return { essence: `${type}/${subtype}`.toLowerCase(), parameters };
}

function indexOfAny(string, pattern, from) {
  pattern.lastIndex = from;
  return pattern.exec(string)?.index ?? string.length;
}

// *Collect an HTTP quoted string*, with the extract-value flag: the value and where it ends.
function quotedString(string, from) {
  let value = "";
  let at = from + 1;
  while (at < string.length) {
    const character = string[at];
    at += 1;
    if (character === '"') break;
    if (character === "\\" && at < string.length) {
      value += string[at];
      at += 1;
    } else {
      value += character;
    }
  }
  return [value, at];
}

// *Serialize a MIME type*.
export function serializeMimeType({ essence, parameters }) {
  let string = essence;
  for (const [name, value] of parameters) {
    string += `;${name}=${TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`;
  }
  return string;
}

// *Extract a MIME type* from the values of Content-Type, combined; null for failure.
export function extractMimeType(combined) {
  if (combined === null) return null;
  let charset = null;
  let essence = null;
  let mimeType = null;
  for (const value of splitHeader(combined)) {
    const temporary = parseMimeType(value);
    if (temporary === null || temporary.essence === "*/*") continue;
    mimeType = temporary;
    if (mimeType.essence !== essence) {
      charset = mimeType.parameters.get("charset") ?? null;
      essence = mimeType.essence;
    } else if (!mimeType.parameters.has("charset") && charset !== null) {
      mimeType.parameters.set("charset", charset);
    }
  }
  return mimeType;
}

// *Get, decode, and split*, of a combined value: at commas that are not in quoted strings.
function splitHeader(combined) {
  const values = [];
  let value = "";
  for (let at = 0; at < combined.length;) {
    const end = indexOfAny(combined, /[",]/g, at);
    value += combined.slice(at, end);
    at = end;
    if (combined[at] === '"') {
      const [, after] = quotedString(combined, at);
      value += combined.slice(at, after);
      at = after;
      continue;
    }
    values.push(trim(value));
    value = "";
    if (at === combined.length - 1) values.push("");
    at += 1;
  }
  if (value !== "") values.push(trim(value));
  return values;
}

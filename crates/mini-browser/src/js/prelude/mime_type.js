// MIME types. (MIME Sniffing, "Parsing a MIME type" and "Serializing a MIME type"; Fetch, "extract a MIME type".)

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const QUOTABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

// Parse a MIME type: `{ essence, parameters }`, where the parameters are a Map, or null.
export function parseMimeType(input) {
  const text = input.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  const match = /^([^/]*)\/([^;]*)/.exec(text);
  if (match === null) return null;
  const type = match[1];
  const subtype = match[2].replace(/[\t\n\r ]+$/, "");
  if (!TOKEN.test(type) || !TOKEN.test(subtype)) return null;
  return { essence: `${type}/${subtype}`.toLowerCase(), parameters: parseParameters(text, match[0].length) };
}

// Step 11.
function parseParameters(text, start) {
  const parameters = new Map();
  let at = start;
  while (at < text.length) {
    at += 1;
    while (/[\t\n\r ]/.test(text.charAt(at))) at += 1;
    const nameEnd = indexOfAny(text, /[;=]/g, at);
    const name = text.slice(at, nameEnd).toLowerCase();
    at = nameEnd;
    if (at >= text.length) break;
    if (text[at] === ";") continue;
    at += 1;
    let value;
    if (text[at] === '"') {
      [value, at] = quotedString(text, at);
      at = indexOfAny(text, /;/g, at);
    } else {
      const end = indexOfAny(text, /;/g, at);
      value = text.slice(at, end).replace(/[\t\n\r ]+$/, "");
      at = end;
      if (value === "") continue;
    }
    if (TOKEN.test(name) && QUOTABLE.test(value) && !parameters.has(name)) parameters.set(name, value);
  }
  return parameters;
}

function indexOfAny(text, pattern, from) {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

// Collect an HTTP quoted string, of which the value is wanted: that, and where it ends.
export function quotedString(text, start) {
  let at = start + 1;
  let value = "";
  while (at < text.length && text[at] !== '"') {
    if (text[at] === "\\" && at + 1 < text.length) at += 1;
    value += text[at];
    at += 1;
  }
  return [value, Math.min(at + 1, text.length)];
}

// Serialize a MIME type.
export function serializeMimeType({ essence, parameters }) {
  const texts = Array.from(parameters, ([name, value]) => `;${name}=${TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`);
  return essence + texts.join("");
}

// Extract a MIME type from a header list, or null.
export function extractMimeType(list) {
  let charset = null;
  let essence = null;
  let mimeType = null;
  for (const value of splitValues(list, "content-type")) {
    const parsed = parseMimeType(value);
    if (parsed === null || parsed.essence === "*/*") continue;
    mimeType = parsed;
    if (mimeType.essence !== essence) {
      charset = mimeType.parameters.get("charset") ?? null;
      essence = mimeType.essence;
    } else if (!mimeType.parameters.has("charset") && charset !== null) {
      mimeType.parameters.set("charset", charset);
    }
  }
  return mimeType;
}

// Get, decode, and split.
export function splitValues(list, name) {
  const values = list.filter(([have]) => have.toLowerCase() === name).map(([, value]) => value);
  if (values.length === 0) return [];
  const input = values.join(", ");
  const found = [];
  let current = "";
  for (let at = 0; at <= input.length; ) {
    if (at === input.length || input[at] === ",") {
      found.push(current.replace(/^[\t ]+|[\t ]+$/g, ""));
      current = "";
      at += 1;
    } else if (input[at] === '"') {
      const [, end] = quotedString(input, at);
      current += input.slice(at, end);
      at = end;
    } else {
      current += input[at];
      at += 1;
    }
  }
  return found;
}

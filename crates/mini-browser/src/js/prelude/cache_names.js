// Names of caches, as they cross to the host.

// A cache's name is any DOMString, and the host's strings have no lone surrogates: these are written
// as a noncharacter and their code. The noncharacter itself is written twice.
const ESCAPE = "\u{10FFFF}";

export function nameToHost(name) {
  return name
    .replaceAll(ESCAPE, ESCAPE + ESCAPE)
    .replace(/\p{Surrogate}/gu, (unit) => ESCAPE + unit.charCodeAt(0).toString(16));
}

export function nameFromHost(name) {
  return name.replace(/\u{10FFFF}(\u{10FFFF}|[0-9a-f]{4})/gu, (_, escaped) =>
    escaped === ESCAPE ? ESCAPE : String.fromCharCode(parseInt(escaped, 16)));
}

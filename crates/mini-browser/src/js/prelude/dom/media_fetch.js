// Fetching a media resource, range by range. (HTML, "media resource fetch", "verify a media response".)

import { fetchForElement } from "./element_fetch.js";
import { crossOriginOf } from "./scripts.js";

const isMedia = (contentType, bytes) => /^(audio|video)\/|^application\/(ogg|vnd\.apple\.mpegurl|dash\+xml)/i.test(contentType ?? "") ||
  startsWith(bytes, "OggS") || startsWith(bytes, "RIFF") || startsWith(bytes, "ID3") || startsWith(bytes, "\x1a\x45\xdf\xa3") || startsWith(bytes.subarray(4), "ftyp");
const startsWith = (bytes, text) => [...text].every((character, index) => bytes[index] === character.charCodeAt(0));

// Fetches a resource as far as `isWanted()`: a promise of whether all of it may be read by the document.
// Rejected if it cannot be played.
export async function fetchMedia(element, url, isWanted) {
  const resource = { origin: null, isClean: true };
  for (let first = 0; isWanted();) {
    const response = await fetchForElement({
      url, destination: element.localName, crossOrigin: crossOriginOf(element), headers: [["Range", `bytes=${first}-`]],
    });
    // A server that has not said how long it is has no more.
    if (first > 0 && response.status === 416) break;
    const range = verify(resource, response, first);
    const bytes = await response.bytes();
    if (range === null || first === 0 && !isMedia(response.contentType, bytes)) throw new TypeError("it cannot be played");
    if (range.isLast) break;
    first = range.end;
  }
  return resource.isClean;
}

// Verify a media response: { isLast, end } of the range that it is; null if it is none that goes with
// those before it.
function verify(resource, response, first) {
  const isClean = response.type !== "opaque";
  const wasClean = resource.isClean;
  resource.isClean &&= isClean;
  // Step 4.
  if (response.status === 200) return { isLast: true, end: 0 };
  // Steps 5 and 6: extract content-range values.
  const match = response.status === 206 ? /^bytes ([0-9]+)-([0-9]+)\/([0-9]+|\*)$/i.exec(response.contentRange ?? "") : null;
  if (match === null) return null;
  const [start, last, length] = match.slice(1).map(Number);
  if (start !== first || last < start || length <= last) return null;
  // Steps 7 and 8. (A worker's own response has the URL that was asked for by now.)
  const origin = response.type === "default" || response.url === null ? "rewritten" : new URL(response.url).origin;
  // Step 9. (By the letter, an opaque response may come first. What is patched to it would tell as much of it.)
  if (resource.origin === null || resource.origin === origin) resource.origin = origin;
  else if (!isClean || !wasClean) return null;
  else resource.origin = "multiple";
  return { isLast: last + 1 === length, end: last + 1 };
}

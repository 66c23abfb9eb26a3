// The service worker of fonts.example.com: answers font requests of any site's page.
//
// It keeps *segments*: small fonts, each with characters that no earlier segment has. A segment is
// cached under the URL that names its characters (`u`) and those that were asked for and that the
// font does not have (`lacking`), so that one `put` stores state and font together: what the cache
// holds is what this worker knows, and nothing is asked for twice.
'use strict';

const CACHE = 'segments';
const FAMILY = 'M PLUS 1'; // The service puts the name of its font here.

// Every page needs these: they are fetched once, at installation.
const PREFETCHED = charactersBetween(
  [0x20, 0x7e], // ASCII
  [0x3000, 0x3002], [0x300c, 0x300f], // punctuation and corner brackets
  [0x3041, 0x3096], // hiragana
  [0x30a1, 0x30fc], // katakana
);

addEventListener('install', (event) => {
  event.handleFallThroughRequests(['/font']);
  event.waitUntil(segmentsFor(new Set(PREFETCHED)).then(() => skipWaiting()));
});

addEventListener('fetch', (event) => {
  if (!event.isFallThrough) return;
  const url = new URL(event.request.url);
  if (url.pathname === '/font/css') {
    event.respondWith(oneAtATime(() => stylesheet(new Set(url.searchParams.get('u')))));
  } else if (url.pathname === '/font/segment') {
    // A segment that is not here was evicted: the network makes it again.
    event.respondWith(caches.match(event.request).then((segment) => segment ?? fetch(event.request)));
  }
});

/** The CSS for some characters: a face for each segment that has one of them. */
async function stylesheet(wanted) {
  const segments = await segmentsFor(wanted);
  const faces = segments
    .filter((segment) => [...segment.characters].some((character) => wanted.has(character)))
    .map(fontFace);
  return new Response(faces.join('\n'), {
    headers: {
      'Content-Type': 'text/css; charset=utf-8',
      'Access-Control-Allow-Origin': '*',
    },
  });
}

function fontFace({ url, characters }) {
  return `@font-face {
  font-family: ${JSON.stringify(FAMILY)};
  font-weight: 100 900;
  font-display: swap;
  src: url('${url}') format('woff2');
  unicode-range: ${unicodeRange(characters)};
}`;
}

/** All segments, after one of those characters was fetched that no segment has or lacks. */
async function segmentsFor(wanted) {
  const segments = await storedSegments();
  const known = new Set(segments.flatMap(({ characters, lacking }) => [...characters, ...lacking]));
  const missing = [...wanted].filter((character) => !known.has(character));
  if (missing.length === 0) return segments;
  await fetchSegment(missing);
  return storedSegments();
}

/** Fetches one segment of the named characters, and stores it under the URL that says what it has. */
async function fetchSegment(asked) {
  const response = await fetch(segmentUrl(asked, []));
  if (!response.ok) throw new Error(`no segment: ${response.status} for ${asked.length} characters`);
  // A font has not every character. With none of them there is no font: 204, which is stored too.
  const lacking = new Set(decodeURIComponent(response.headers.get('Lacking-Characters') ?? ''));
  const characters = [...asked].filter((character) => !lacking.has(character));
  const cache = await caches.open(CACHE);
  await cache.put(segmentUrl(characters, lacking), response);
}

function segmentUrl(characters, lacking) {
  const url = new URL('/font/segment', location.origin);
  url.searchParams.set('u', [...characters].sort().join(''));
  if ([...lacking].length > 0) url.searchParams.set('lacking', [...lacking].sort().join(''));
  return url;
}

async function storedSegments() {
  const cache = await caches.open(CACHE);
  const requests = await cache.keys();
  return requests.map(({ url }) => {
    const named = new URL(url).searchParams;
    return { url, characters: new Set(named.get('u')), lacking: new Set(named.get('lacking') ?? '') };
  });
}

/** `U+3042-3046, U+4E00` */
function unicodeRange(characters) {
  const points = [...characters].map((character) => character.codePointAt(0)).sort((a, b) => a - b);
  const ranges = [];
  for (const point of points) {
    const last = ranges.at(-1);
    if (last && last[1] + 1 === point) last[1] = point;
    else ranges.push([point, point]);
  }
  const hex = (point) => point.toString(16).toUpperCase();
  return ranges
    .map(([from, to]) => (from === to ? `U+${hex(from)}` : `U+${hex(from)}-${hex(to)}`))
    .join(', ');
}

function charactersBetween(...ranges) {
  const points = ranges.flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, offset) => from + offset));
  return String.fromCodePoint(...points);
}

// Two pages that ask at once must not both fetch what they both lack.
let queue = Promise.resolve();
function oneAtATime(task) {
  const result = queue.then(task);
  queue = result.catch(() => {});
  return result;
}

// What every site's page runs. A page asks the font service for exactly the characters of its text.
'use strict';

const FONTS = 'https://fonts.example.com';
const FAMILY = 'M PLUS 1'; // The site's server puts the name of its font here.

/** First visit: the site's own worker is registered. Ends when it has been activated. */
async function visit() {
  const registration = await navigator.serviceWorker.register('/sw.js');
  await navigator.serviceWorker.ready;
  await activated(registration.active);
  return registration.scope;
}

function activated(worker) {
  if (worker.state === 'activated') return undefined;
  return new Promise((resolve) => {
    worker.addEventListener('statechange', () => {
      if (worker.state === 'activated') resolve();
    });
  });
}

/** Loads the page's font: the stylesheet, then the files of those faces that its text needs. */
async function loadFont() {
  const characters = charactersOf(document.body.textContent);
  const sheet = new URL('/font/css', FONTS);
  sheet.searchParams.set('family', FAMILY);
  sheet.searchParams.set('u', characters.join(''));
  const css = await (await request(sheet)).text();
  const faces = facesOf(css).filter((face) => characters.some(face.covers));
  const files = await Promise.all(faces.map(async ({ url }) => {
    const response = await request(url);
    return { url, font: base64(await response.arrayBuffer()) };
  }));
  return {
    controller: navigator.serviceWorker.controller?.scriptURL ?? null,
    characters: characters.join(''),
    css,
    files,
  };
}

/** As a browser loads stylesheets and fonts of another origin: `cors`, without credentials. */
async function request(url) {
  const response = await fetch(url, { mode: 'cors', credentials: 'omit' });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response;
}

function charactersOf(text) {
  return [...new Set(text)].filter((character) => character >= ' ').sort();
}

/** The faces of a stylesheet, and which characters each covers. */
function facesOf(css) {
  return [...css.matchAll(/@font-face\s*\{([^}]*)\}/g)].map(([, body]) => {
    const [, , url] = /src:\s*url\((['"])(.*?)\1\)/.exec(body);
    const range = /unicode-range:\s*([^;]*);/.exec(body);
    return { url, covers: range ? coveredBy(range[1]) : () => true };
  });
}

function coveredBy(unicodeRange) {
  const ranges = unicodeRange.split(',').map((part) => {
    const [from, to = from] = part.trim().slice('U+'.length).split('-');
    return [parseInt(from, 16), parseInt(to, 16)];
  });
  return (character) => {
    const point = character.codePointAt(0);
    return ranges.some(([from, to]) => from <= point && point <= to);
  };
}

function base64(buffer) {
  const bytes = new Uint8Array(buffer);
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x2000) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
  }
  return btoa(binary);
}

// The tea site's own worker: it answers its own pages from its cache, and lets everything else go
// to the network.
'use strict';

addEventListener('install', (event) => {
  event.waitUntil(caches.open('pages').then((cache) => cache.addAll(['/', '/site.js'])));
  skipWaiting();
});

addEventListener('fetch', (event) => {
  if (new URL(event.request.url).origin !== location.origin) return;
  event.respondWith(caches.match(event.request).then((cached) => cached ?? fetch(event.request)));
});

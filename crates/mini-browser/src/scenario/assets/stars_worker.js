// The astronomy site's own worker: it looks at every request, and answers none.
'use strict';

let seen = 0;

addEventListener('install', () => skipWaiting());

addEventListener('activate', (event) => event.waitUntil(clients.claim()));

addEventListener('fetch', (event) => {
  seen += 1;
  console.debug(`request ${seen}: ${event.request.url}`);
});

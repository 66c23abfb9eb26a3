// document.cookie. (HTML, "The Document object".)

// What keeps cookies: { read(): the cookie-string for the window's document, write(cookie) }. While
// there is nothing, cookies are blocked: none is read, and what is written is forgotten.
let store = null;
export function setCookieStore(keeper) { store = keeper; }

// A document that is no window's is cookie-averse.
export const readCookies = (document) => (document.isShown && store !== null ? store.read() : "");

export function writeCookie(document, cookie) {
  if (document.isShown && store !== null) store.write(cookie);
}

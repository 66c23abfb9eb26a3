// document.cookie. (HTML, "The Document object".)

import { op_cookies, op_set_cookie } from "ops";
import { call } from "../webidl.js";

// A document that is no window's is cookie-averse.
export const readCookies = (document) => (document.isShown ? call(op_cookies) : "");

export function writeCookie(document, cookie) {
  if (document.isShown) call(op_set_cookie, cookie.toWellFormed());
}

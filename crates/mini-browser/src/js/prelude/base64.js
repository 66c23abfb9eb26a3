// btoa and atob. (HTML, "Base64 utility methods"; Infra, "forgiving base64".)

import { DOMString, errorOf, required } from "./webidl.js";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function btoa(data) {
  required(arguments.length, 1, "btoa");
  const string = DOMString(data);
  let out = "";
  for (let i = 0; i < string.length; i += 3) {
    const codes = [string.charCodeAt(i), string.charCodeAt(i + 1), string.charCodeAt(i + 2)];
    if (codes.some((code) => code > 255)) throw errorOf("InvalidCharacterError", "btoa: a character is above U+00FF");
    const bits = codes[0] << 16 | codes[1] << 8 | codes[2];
    const left = string.length - i;
    out += ALPHABET[bits >> 18] + ALPHABET[bits >> 12 & 63] + (left > 1 ? ALPHABET[bits >> 6 & 63] : "=") + (left > 2 ? ALPHABET[bits & 63] : "=");
  }
  return out;
}

export function atob(data) {
  required(arguments.length, 1, "atob");
  // Infra, "forgiving-base64 decode".
  let string = DOMString(data).replace(/[\t\n\f\r ]/g, "");
  if (string.length % 4 === 0) string = string.replace(/={1,2}$/, "");
  if (string.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(string)) {
    throw errorOf("InvalidCharacterError", "atob: the string is not correctly encoded");
  }
  let out = "";
  let bits = 0;
  let count = 0;
  for (const character of string) {
    bits = (bits << 6 | ALPHABET.indexOf(character)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += String.fromCharCode(bits >> count & 255);
    }
  }
  return out;
}

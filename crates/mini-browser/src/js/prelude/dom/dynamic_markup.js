// document.open(), close() and write(). (HTML, "Dynamic markup insertion".)

import { errorOf } from "../webidl.js";
import { replaceAll } from "./mutation.js";
import { DocumentParser } from "./parser.js";

// The document open steps.
export function openDocument(document) {
  // Steps 1 to 7.
  if (!document.isHtml) throw errorOf("InvalidStateError", "The document is not an HTML document");
  if (document.ignoreOpen > 0) throw errorOf("InvalidStateError", "The document cannot be opened now");
  if (document.parser !== undefined && document.parser !== null && document.parser.nesting > 0) return;
  // Steps 11 and on.
  document.parser?.abort();
  replaceAll(null, document);
  document.mode = "no-quirks";
  new DocumentParser(document, { isScriptCreated: true });
}

// The document close steps.
export function closeDocument(document) {
  if (!document.isHtml) throw errorOf("InvalidStateError", "The document is not an HTML document");
  if (document.parser?.isScriptCreated) document.parser.close();
}

// The document write steps.
export function writeDocument(document, text) {
  if (!document.isHtml) throw errorOf("InvalidStateError", "The document is not an HTML document");
  // Steps 4 to 8.
  if (document.parser?.isAborted) return;
  if (!document.parser?.hasInsertionPoint) {
    if (document.ignoreDestructiveWrites > 0) return;
    openDocument(document);
    if (!document.parser?.hasInsertionPoint) return;
  }
  // Steps 9 and 10.
  document.parser.write(text);
}


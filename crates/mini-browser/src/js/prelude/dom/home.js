// What a realm does for the nodes of its documents. (Nodes are records that any realm of the agent may
// change: what then happens is the business of the realm that their document is of.)

import { op_base_url, op_document_url, op_url_parse } from "ops";
import { ownListeners } from "../events.js";
import { global } from "../realms.js";
import { HOST, load } from "../webidl.js";
import { interfaceOf } from "./interfaces.js";
import { attributeChanged, childrenChanged, connected, disconnected, namesChanged } from "./steps.js";

export const home = {
  global,
  // The wrapper of a record that has none.
  wrap: (record) => new (interfaceOf(record))(HOST, record),
  attributeChanged, childrenChanged, connected, disconnected, namesChanged,
  urlOf: (document) => document.url ?? op_document_url(),
  // A URL, resolved; null for failure.
  resolveAgainst: (url, base) => op_url_parse(url.toWellFormed(), base)?.href ?? null,
  listenersOf: ownListeners,
  // The document base URL.
  baseUrlOf: (document) => (document.url === null ? op_base_url() : document.baseUrl ?? document.url),
};

// The window's document, as a record.
export const currentDocument = () => load("dom/window_document.js").windowDocument();

// Location. (HTML, "The Location interface".)

import { op_ancestor_origins, op_document_url, op_incumbent_function, op_navigable, op_navigate, op_origin_of, op_reload, op_resolve_url, op_set_hook, op_url_parse, op_url_set } from "ops";
import { own } from "./own.js";
import { HOST, USVString, call, errorOf, idl, illegal, required } from "./webidl.js";

const parts = () => op_url_parse(op_document_url(), null);

// Location-object navigate, of the window of navigable `id`, by a script of realm `by`.
function navigateTo(id, url, replace, by) {
  const resolved = op_resolve_url(by, USVString(url));
  if (resolved === null || resolved === undefined) throw errorOf("SyntaxError", `'${url}' is not a valid URL`);
  if (id === null || id === undefined) return;
  call(op_navigate, id, by, resolved, { replace });
}

// The same, by this realm.
export function navigateLocation(id, url, replace) { navigateTo(id, url, replace, own.id); }

// What each member does, told which realm's script called it.
const members = {
  setHref(by, url) { navigateTo(op_navigable(), url, false, by); },
  assign(by, ...args) {
    required(args.length, 1, "assign");
    sameOrigin(by);
    navigateTo(op_navigable(), args[0], false, by);
  },
  replace(by, ...args) {
    required(args.length, 1, "replace");
    navigateTo(op_navigable(), args[0], true, by);
  },
  reload(by) {
    sameOrigin(by);
    op_reload();
  },
  setPart(by, part, value) {
    sameOrigin(by);
    const id = op_navigable();
    if (id === null || id === undefined) return;
    const before = op_document_url();
    if (part === "hash") {
      // The hash setter, steps 4 to 8.
      const input = value.startsWith("#") ? value.slice(1) : value;
      let { href } = op_url_set(before, "hash", input);
      if (!href.includes("#")) href += "#";
      if (op_url_parse(href, null).hash === op_url_parse(before, null).hash) return;
      call(op_navigate, id, by, href, {});
      return;
    }
    const { href } = op_url_set(before, part, value);
    call(op_navigate, id, by, href, {});
  },
};

function sameOrigin(by) {
  if (op_origin_of(by) !== op_origin_of(own.id)) throw errorOf("SecurityError", "The location is of another origin");
}

class Location {
  constructor(token) { illegal(token); }
  get origin() { return parts().origin; }
  toString() { return this.href; }
  get ancestorOrigins() { return ancestorOrigins(); }
}

// A method, or the setter of an attribute, in which the incumbent realm is the script's that calls it.
function method(name, length) {
  op_set_hook(name, (by, self, args) => members[name](by, ...args));
  return op_incumbent_function(name, length);
}
for (const name of ["assign", "replace", "reload"]) {
  Object.defineProperty(Location.prototype, name, { value: method(name, name === "reload" ? 0 : 1), writable: false, configurable: true });
}

function attribute(name, setter) {
  op_set_hook(`set ${name}`, setter);
  Object.defineProperty(Location.prototype, name, {
    get: Object.getOwnPropertyDescriptor({ get [name]() { return parts()[name]; } }, name).get,
    set: op_incumbent_function(`set ${name}`, 1),
    configurable: true,
  });
}
attribute("href", (by, self, [url]) => members.setHref(by, url));
for (const part of ["protocol", "host", "hostname", "port", "pathname", "search", "hash"]) {
  attribute(part, (by, self, [value]) => members.setPart(by, part, USVString(value)));
}
idl(Location);

let origins;

// A DOMStringList of the origins above.
function ancestorOrigins() {
  if (origins === undefined) {
    const list = op_ancestor_origins();
    origins = new DOMStringList(HOST, list);
  }
  return origins;
}

class DOMStringList {
  #items;
  constructor(token, items) {
    illegal(token);
    this.#items = items;
    items.forEach((item, index) => Object.defineProperty(this, index, { value: item, enumerable: true, configurable: true }));
  }
  get length() { return this.#items.length; }
  item(index) { return this.#items[index >>> 0] ?? null; }
  contains(string) { return this.#items.includes(String(string)); }
  [Symbol.iterator]() { return this.#items[Symbol.iterator](); }
}
idl(DOMStringList);

export { DOMStringList, Location };
export const location = new Location(HOST);

// The setter of window.location.
export function setLocation(by, url) { members.setHref(by, url); }

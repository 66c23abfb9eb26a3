// URL and URLSearchParams. (URL, "API".)

import { op_create_object_url, op_form_parse, op_form_serialize, op_load, op_makes_object_urls, op_revoke_object_url, op_set_hook, op_url_parse, op_url_set } from "ops";
import { foreign } from "./brands.js";
import { DOMString, USVString, call, idl, required } from "./webidl.js";

let attach;
let refresh;
let listOf;

export class URLSearchParams {
  #list = [];
  // The URL whose query this is, or null.
  #url = null;

  constructor(init = "") {
    if ((typeof init === "object" || typeof init === "function") && init !== null) {
      const iterator = init[Symbol.iterator];
      if (iterator !== undefined && iterator !== null) {
        for (const pair of init) {
          const items = [...pair];
          if (items.length !== 2) throw new TypeError("URLSearchParams: an item of the sequence is not a pair");
          this.#list.push([USVString(items[0]), USVString(items[1])]);
        }
      } else {
        const record = new Map();
        for (const key of Reflect.ownKeys(init)) {
          if (Object.getOwnPropertyDescriptor(init, key)?.enumerable) record.set(USVString(key), USVString(init[key]));
        }
        this.#list = [...record];
      }
    } else {
      const string = USVString(init);
      this.#list = op_form_parse(string.startsWith("?") ? string.slice(1) : string);
    }
  }
  get size() { return this.#list.length; }
  append(name, value) {
    required(arguments.length, 2, "append");
    this.#list.push([USVString(name), USVString(value)]);
    this.#update();
  }
  delete(name, value = undefined) {
    required(arguments.length, 1, "delete");
    name = USVString(name);
    if (value !== undefined) value = USVString(value);
    this.#list = this.#list.filter((pair) => pair[0] !== name || (value !== undefined && pair[1] !== value));
    this.#update();
  }
  get(name) {
    required(arguments.length, 1, "get");
    name = USVString(name);
    return this.#list.find((pair) => pair[0] === name)?.[1] ?? null;
  }
  getAll(name) {
    required(arguments.length, 1, "getAll");
    name = USVString(name);
    return this.#list.filter((pair) => pair[0] === name).map((pair) => pair[1]);
  }
  has(name, value = undefined) {
    required(arguments.length, 1, "has");
    name = USVString(name);
    if (value !== undefined) value = USVString(value);
    return this.#list.some((pair) => pair[0] === name && (value === undefined || pair[1] === value));
  }
  set(name, value) {
    required(arguments.length, 2, "set");
    name = USVString(name);
    value = USVString(value);
    const first = this.#list.findIndex((pair) => pair[0] === name);
    if (first < 0) this.#list.push([name, value]);
    else {
      this.#list[first] = [name, value];
      this.#list = this.#list.filter((pair, at) => at <= first || pair[0] !== name);
    }
    this.#update();
  }
  sort() {
    this.#list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#update();
  }
  toString() { return op_form_serialize(this.#list); }
  *entries() { for (let i = 0; i < this.#list.length; i++) yield [...this.#list[i]]; }
  *keys() { for (let i = 0; i < this.#list.length; i++) yield this.#list[i][0]; }
  *values() { for (let i = 0; i < this.#list.length; i++) yield this.#list[i][1]; }
  forEach(callback, thisArg = undefined) {
    required(arguments.length, 1, "forEach");
    if (typeof callback !== "function") throw new TypeError("forEach: the callback is not a function");
    for (let i = 0; i < this.#list.length; i++) callback.call(thisArg, this.#list[i][1], this.#list[i][0], this);
  }
  #update() { this.#url?.(this.#list.length === 0 ? "" : op_form_serialize(this.#list)); }
  static {
    attach = (params, update) => { params.#url = update; };
    refresh = (params, query) => { params.#list = op_form_parse(query); };
    const own = (value) => (typeof value === "object" && value !== null && #list in value ? value.#list : null);
    // Null for what is none, of this or another realm of the agent.
    listOf = (value) => own(value) ?? foreign("url search params", value);
    op_set_hook("url search params", own);
  }
}
idl(URLSearchParams);
Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
  value: URLSearchParams.prototype.entries, writable: true, configurable: true,
});

// Whether a value is a URLSearchParams.
export const isSearchParams = (value) => listOf(value) !== null;

// What a URLSearchParams serializes to, whatever a script made of its toString.
export const serialized = (params) => op_form_serialize(listOf(params));

function parse(url, base) {
  return call(op_url_parse, USVString(url), base === undefined ? null : USVString(base)) ?? null;
}

export class URL {
  #parts;
  #params = null;
  constructor(url, base = undefined) {
    required(arguments.length, 1, "URL");
    const parts = parse(url, base);
    if (parts === null) throw new TypeError(`Invalid URL: '${USVString(url)}'`);
    this.#parts = parts;
  }
  static canParse(url, base = undefined) {
    required(arguments.length, 1, "canParse");
    return parse(url, base) !== null;
  }
  static parse(url, base = undefined) {
    required(arguments.length, 1, "parse");
    return URL.canParse(url, base) ? new URL(url, base) : null;
  }
  get href() { return this.#parts.href; }
  set href(value) {
    const parts = parse(value);
    if (parts === null) throw new TypeError(`Invalid URL: '${USVString(value)}'`);
    this.#parts = parts;
    this.#refresh();
  }
  get origin() { return this.#parts.origin; }
  get protocol() { return this.#parts.protocol; }
  set protocol(value) { this.#set("protocol", value); }
  get username() { return this.#parts.username; }
  set username(value) { this.#set("username", value); }
  get password() { return this.#parts.password; }
  set password(value) { this.#set("password", value); }
  get host() { return this.#parts.host; }
  set host(value) { this.#set("host", value); }
  get hostname() { return this.#parts.hostname; }
  set hostname(value) { this.#set("hostname", value); }
  get port() { return this.#parts.port; }
  set port(value) { this.#set("port", value); }
  get pathname() { return this.#parts.pathname; }
  set pathname(value) { this.#set("pathname", value); }
  get search() { return this.#parts.search; }
  set search(value) { this.#set("search", value); this.#refresh(); }
  get searchParams() {
    if (this.#params === null) {
      this.#params = new URLSearchParams(this.#parts.search);
      attach(this.#params, (query) => this.#set("search", query));
    }
    return this.#params;
  }
  get hash() { return this.#parts.hash; }
  set hash(value) { this.#set("hash", value); }
  toString() { return this.#parts.href; }
  toJSON() { return this.#parts.href; }
  #set(part, value) { this.#parts = call(op_url_set, this.#parts.href, part, USVString(value)); }
  #refresh() { if (this.#params !== null) refresh(this.#params, this.#parts.search.slice(1)); }
}

// File API, "Creating and Revoking a blob URL"; not of service workers.
if (op_makes_object_urls()) {
  const statics = {
    createObjectURL(object) {
      required(arguments.length, 1, "createObjectURL");
      const { blobBytes, isBlob } = op_load("blob.js");
      if (!isBlob(object)) throw new TypeError("createObjectURL: the argument is not a Blob");
      return call(op_create_object_url, op_load("crypto.js").randomUUID(), blobBytes(object), object.type);
    },
    revokeObjectURL(url) {
      required(arguments.length, 1, "revokeObjectURL");
      op_revoke_object_url(DOMString(url).toWellFormed());
    },
  };
  Object.defineProperties(URL, Object.getOwnPropertyDescriptors(statics));
}
idl(URL);

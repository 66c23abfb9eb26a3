// CacheStorage and Cache. (Service Workers, "Caches".)

import {
  op_body_bytes,
  op_cache_delete,
  op_cache_keys,
  op_cache_match,
  op_cache_put,
  op_caches_delete,
  op_caches_has,
  op_caches_keys,
  op_caches_match,
  op_caches_open,
} from "ops";

import { newSignal, signalAbort } from "./abort.js";
import { isUnusable, takeBytes } from "./body.js";
import { DOMException } from "./dom_exception.js";
import { argumentsAtLeast, defineInterface, dictionary, sequence, usvString } from "./fetch_idl.js";
import { responseFrom } from "./fetch.js";
import { combined } from "./headers.js";
import { Request, isRequest, requestFromHost, requestOf, requestToHost } from "./request.js";
import { isResponse, responseFromHost, responseHead, responseOf } from "./response.js";

const INTERNAL = Symbol("CacheStorage");

export class CacheStorage {
  #brand = true;

  constructor() {
    if (arguments[0] !== INTERNAL) {
      throw new TypeError("there is one CacheStorage, which is called caches");
    }
  }

  async match(request, options = {}) {
    this.#brand;
    argumentsAtLeast(arguments, 1, "CacheStorage.match");
    const info = requestInfo(request);
    const query = dictionary(options, MULTI_CACHE_QUERY_OPTIONS, "MultiCacheQueryOptions");
    const asked = requestAsked(info, query);
    if (asked === null) {
      return undefined;
    }
    const found = await host(op_caches_match(asked, queryToHost(query), query.cacheName ?? null));
    return found === null ? undefined : responseFound(found);
  }

  async has(cacheName) {
    this.#brand;
    argumentsAtLeast(arguments, 1, "CacheStorage.has");
    return host(op_caches_has(`${cacheName}`));
  }

  async open(cacheName) {
    this.#brand;
    argumentsAtLeast(arguments, 1, "CacheStorage.open");
    const cache = await host(op_caches_open(`${cacheName}`));
    return Reflect.construct(Cache, [INTERNAL, cache]);
  }

  async delete(cacheName) {
    this.#brand;
    argumentsAtLeast(arguments, 1, "CacheStorage.delete");
    return host(op_caches_delete(`${cacheName}`));
  }

  async keys() {
    this.#brand;
    return host(op_caches_keys());
  }
}

export class Cache {
  // What the host calls this cache.
  #cache;

  constructor() {
    if (arguments[0] !== INTERNAL) {
      throw new TypeError("a Cache is opened by caches.open()");
    }
    this.#cache = arguments[1];
  }

  async match(request, options = {}) {
    const cache = this.#cache;
    argumentsAtLeast(arguments, 1, "Cache.match");
    const info = requestInfo(request);
    const query = dictionary(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = requestAsked(info, query);
    if (asked === null) {
      return undefined;
    }
    const [found] = await host(op_cache_match(cache, asked, queryToHost(query), true));
    return found === undefined ? undefined : responseFound(found);
  }

  async matchAll(request = undefined, options = {}) {
    const cache = this.#cache;
    const info = request === undefined ? undefined : requestInfo(request);
    const query = dictionary(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = info === undefined ? undefined : requestAsked(info, query);
    if (asked === null) {
      return [];
    }
    const found = await host(op_cache_match(cache, asked ?? null, queryToHost(query), false));
    return Object.freeze(found.map(responseFound));
  }

  async add(request) {
    const cache = this.#cache;
    argumentsAtLeast(arguments, 1, "Cache.add");
    await addAll(cache, [requestInfo(request)]);
  }

  async addAll(requests) {
    const cache = this.#cache;
    argumentsAtLeast(arguments, 1, "Cache.addAll");
    await addAll(cache, sequence(requests, requestInfo, "the argument of Cache.addAll"));
  }

  async put(request, response) {
    const cache = this.#cache;
    argumentsAtLeast(arguments, 2, "Cache.put");
    const info = requestInfo(request);
    if (!isResponse(response)) {
      throw new TypeError("the second argument of Cache.put is not a Response");
    }
    // Steps 2 to 4.
    const innerRequest = requestOf(isRequest(info) ? info : new Request(info));
    requireStorable(innerRequest);
    // Steps 5 to 8.
    const innerResponse = responseOf(response);
    if (innerResponse.status === 206) {
      throw new TypeError("a partial response (status 206) cannot be cached");
    }
    requireKnownVary(innerResponse);
    // Step 9.
    if (isUnusable(innerResponse.body)) {
      throw new TypeError("the body of the response has been read already");
    }
    // Steps 10 to 20. The heads are taken now: the script may change them while the body comes.
    const entry = entryOf(innerRequest, innerResponse);
    entry.body = await takeBytes(innerResponse.body);
    await host(op_cache_put(cache, [entry]));
  }

  async delete(request, options = {}) {
    const cache = this.#cache;
    argumentsAtLeast(arguments, 1, "Cache.delete");
    const info = requestInfo(request);
    const query = dictionary(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = requestAsked(info, query);
    return asked === null ? false : host(op_cache_delete(cache, asked, queryToHost(query)));
  }

  async keys(request = undefined, options = {}) {
    const cache = this.#cache;
    const info = request === undefined ? undefined : requestInfo(request);
    const query = dictionary(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = info === undefined ? undefined : requestAsked(info, query);
    if (asked === null) {
      return [];
    }
    const heads = await host(op_cache_keys(cache, asked ?? null, queryToHost(query)));
    return Object.freeze(heads.map((head) => requestFromHost(head, null)));
  }
}

defineInterface(CacheStorage);
defineInterface(Cache);

/// The realm's CacheStorage.
export const caches = Reflect.construct(CacheStorage, [INTERNAL]);

// In the order of Web IDL: those of the inherited dictionary first, each lexicographically.
const CACHE_QUERY_OPTIONS = { ignoreMethod: Boolean, ignoreSearch: Boolean, ignoreVary: Boolean };
const MULTI_CACHE_QUERY_OPTIONS = { ...CACHE_QUERY_OPTIONS, cacheName: (value) => `${value}` };

function queryToHost({ ignoreMethod = false, ignoreSearch = false, ignoreVary = false }) {
  return { ignoreMethod, ignoreSearch, ignoreVary };
}

/// RequestInfo.
function requestInfo(value) {
  return isRequest(value) ? value : usvString(value);
}

/// The request that a query is about, as it crosses to the host; null if nothing can match it.
function requestAsked(info, { ignoreMethod = false }) {
  if (!isRequest(info)) {
    return requestToHost(requestOf(new Request(info)));
  }
  const request = requestOf(info);
  return request.method === "GET" || ignoreMethod ? requestToHost(request) : null;
}

/// The `addAll()` steps: all entries are fetched, then stored together, or none.
async function addAll(cache, requests) {
  // Step 3.
  requests.filter(isRequest).map(requestOf).forEach(requireStorable);
  // Step 5, before anything is fetched.
  const innerRequests = requests.map((info) => requestOf(new Request(info)));
  innerRequests.forEach(requireStorable);
  // Steps 4 to 7: one failure aborts the fetches of all.
  const signal = newSignal();
  let entries;
  try {
    entries = await Promise.all(innerRequests.map((request) => fetchEntry(request, signal)));
  } catch (error) {
    signalAbort(signal, error);
    throw error;
  }
  // Steps 8 to 10.
  await host(op_cache_put(cache, entries));
}

async function fetchEntry(request, signal) {
  const response = responseOf(await responseFrom(request, signal));
  // processResponse.
  const isOk = response.status >= 200 && response.status <= 299 && response.status !== 206;
  if (response.type === "error" || !isOk) {
    throw new TypeError(`${request.urlList[0]} was answered with status ${response.status}`);
  }
  requireKnownVary(response);
  // processResponseEndOfBody.
  const entry = entryOf(request, response);
  entry.body = await takeBytes(response.body);
  return entry;
}

function entryOf(request, response) {
  const copy = (head) => ({ ...head, headers: head.headers.map(([name, value]) => [name, value]) });
  return {
    request: copy(requestToHost(request)),
    response: copy(responseHead(response)),
    body: null,
  };
}

function requireStorable({ method, urlList }) {
  if (!/^https?:/.test(urlList.at(-1))) {
    throw new TypeError(`${urlList.at(-1)} cannot be cached: its scheme is not http or https`);
  }
  if (method !== "GET") {
    throw new TypeError(`only GET requests can be cached, and this is ${method}`);
  }
}

function requireKnownVary(response) {
  const vary = combined(response.headers, "vary") ?? "";
  if (vary.split(",").some((name) => name.trim() === "*")) {
    throw new TypeError("a response with Vary: * cannot be cached");
  }
}

function responseFound({ head, body }) {
  return responseFromHost(head, body === null ? null : () => host(op_body_bytes(body, null)));
}

/// What the host gives; its failure as one of this realm.
async function host(promise) {
  try {
    return await promise;
  } catch (error) {
    throw error.name === "TypeError"
      ? new TypeError(error.message)
      : new DOMException(error.message, error.name);
  }
}

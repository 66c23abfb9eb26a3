// CacheStorage and Cache. (Service Workers, "Caches".)

import {
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

import { dependentSignal, newSignal, signalAbort } from "./abort.js";
import { isUnusable, takeBytes } from "./body.js";
import { nameFromHost, nameToHost } from "./cache_names.js";
import { DOMException } from "./dom_exception.js";
import { hostBody, responseFrom } from "./fetch.js";
import { members } from "./fetch_idl.js";
import { combined } from "./headers.js";
import { keep } from "./kept.js";
import { Request, isRequest, requestFromHost, requestOf, requestSignal, requestToHost } from "./request.js";
import { isResponse, responseFromHost, responseHead, responseOf } from "./response.js";
import { DOMString, HOST, USVString, callAsync, idl, illegal, required, sequence } from "./webidl.js";

export class CacheStorage {
  #brand = true;

  constructor() {
    illegal(arguments[0]);
  }

  async match(request, options = {}) {
    this.#brand;
    required(arguments.length, 1, "CacheStorage.match");
    const info = requestInfo(request);
    const query = members(options, MULTI_CACHE_QUERY_OPTIONS, "MultiCacheQueryOptions");
    const asked = requestAsked(info, query);
    if (asked === null) {
      return undefined;
    }
    const found = await callAsync(op_caches_match, asked, queryToHost(query), query.cacheName === undefined ? null : nameToHost(query.cacheName));
    return found === null ? undefined : responseFound(found);
  }

  async has(cacheName) {
    this.#brand;
    required(arguments.length, 1, "CacheStorage.has");
    return callAsync(op_caches_has, nameToHost(DOMString(cacheName)));
  }

  async open(cacheName) {
    this.#brand;
    required(arguments.length, 1, "CacheStorage.open");
    const id = await callAsync(op_caches_open, nameToHost(DOMString(cacheName)));
    return Reflect.construct(Cache, [HOST, keep("cache", id)]);
  }

  async delete(cacheName) {
    this.#brand;
    required(arguments.length, 1, "CacheStorage.delete");
    return callAsync(op_caches_delete, nameToHost(DOMString(cacheName)));
  }

  async keys() {
    this.#brand;
    return (await callAsync(op_caches_keys)).map(nameFromHost);
  }
}

export class Cache {
  // The cache as the host keeps it.
  #cache;

  constructor() {
    illegal(arguments[0]);
    this.#cache = arguments[1];
  }

  async match(request, options = {}) {
    const cache = this.#cache;
    required(arguments.length, 1, "Cache.match");
    const info = requestInfo(request);
    const query = members(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = requestAsked(info, query);
    if (asked === null) {
      return undefined;
    }
    const [found] = await callAsync(op_cache_match, cache.id, asked, queryToHost(query), true);
    return found === undefined ? undefined : responseFound(found);
  }

  async matchAll(request = undefined, options = {}) {
    const cache = this.#cache;
    const info = request === undefined ? undefined : requestInfo(request);
    const query = members(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = info === undefined ? undefined : requestAsked(info, query);
    if (asked === null) {
      return Object.freeze([]);
    }
    const found = await callAsync(op_cache_match, cache.id, asked ?? null, queryToHost(query), false);
    return Object.freeze(found.map(responseFound));
  }

  async add(request) {
    const cache = this.#cache;
    required(arguments.length, 1, "Cache.add");
    await addAll(cache, [requestInfo(request)]);
  }

  async addAll(requests) {
    const cache = this.#cache;
    required(arguments.length, 1, "Cache.addAll");
    await addAll(cache, sequence(requests, requestInfo, "the argument of Cache.addAll"));
  }

  async put(request, response) {
    const cache = this.#cache;
    required(arguments.length, 2, "Cache.put");
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
    await callAsync(op_cache_put, cache.id, [entry]);
  }

  async delete(request, options = {}) {
    const cache = this.#cache;
    required(arguments.length, 1, "Cache.delete");
    const info = requestInfo(request);
    const query = members(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = requestAsked(info, query);
    return asked === null ? false : callAsync(op_cache_delete, cache.id, asked, queryToHost(query));
  }

  async keys(request = undefined, options = {}) {
    const cache = this.#cache;
    const info = request === undefined ? undefined : requestInfo(request);
    const query = members(options, CACHE_QUERY_OPTIONS, "CacheQueryOptions");
    const asked = info === undefined ? undefined : requestAsked(info, query);
    if (asked === null) {
      return Object.freeze([]);
    }
    const heads = await callAsync(op_cache_keys, cache.id, asked ?? null, queryToHost(query));
    return Object.freeze(heads.map((head) => requestFromHost(head, null)));
  }
}

idl(CacheStorage);
idl(Cache);

// The realm's CacheStorage.
export const caches = Reflect.construct(CacheStorage, [HOST]);

// In the order of Web IDL: those of the inherited dictionary first, each lexicographically.
const CACHE_QUERY_OPTIONS = { ignoreMethod: Boolean, ignoreSearch: Boolean, ignoreVary: Boolean };
const MULTI_CACHE_QUERY_OPTIONS = { ...CACHE_QUERY_OPTIONS, cacheName: DOMString };

function queryToHost({ ignoreMethod = false, ignoreSearch = false, ignoreVary = false }) {
  return { ignoreMethod, ignoreSearch, ignoreVary };
}

// RequestInfo.
function requestInfo(value) {
  return isRequest(value) ? value : USVString(value);
}

// The request that a query is about, as it crosses to the host; null if nothing can match it.
function requestAsked(info, { ignoreMethod = false }) {
  if (!isRequest(info)) {
    return requestToHost(requestOf(new Request(info)));
  }
  const request = requestOf(info);
  return request.method === "GET" || ignoreMethod ? requestToHost(request) : null;
}

// The `addAll()` steps: all entries are fetched, then stored together, or none.
async function addAll(cache, requests) {
  // Step 3.
  requests.filter(isRequest).map(requestOf).forEach(requireStorable);
  // Step 5, before anything is fetched.
  const objects = requests.map((info) => new Request(info));
  const innerRequests = objects.map(requestOf);
  innerRequests.forEach(requireStorable);
  requireDifferent(innerRequests);
  // Steps 4 to 7: one failure aborts the fetches of all.
  const signal = newSignal();
  let entries;
  try {
    entries = await Promise.all(objects.map((object) => fetchEntry(object, signal)));
  } catch (error) {
    signalAbort(signal, error);
    throw error;
  }
  // Steps 8 to 10.
  await callAsync(op_cache_put, cache.id, entries);
}

async function fetchEntry(object, signalOfAll) {
  const request = requestOf(object);
  const own = requestSignal(object);
  const signal = own === null ? signalOfAll : dependentSignal([own, signalOfAll]);
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

// Batch Cache Operations, step 4.2.1: what asks for the same with the same headers is the same entry
// whatever its response varies by, and need not be fetched.
function requireDifferent(requests) {
  const known = new Set();
  for (const { urlList, headers } of requests) {
    const key = JSON.stringify([urlList.at(-1).replace(/#.*/s, ""), headers]);
    if (known.has(key)) {
      throw new DOMException("two of the requests are the same", "InvalidStateError");
    }
    known.add(key);
  }
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
  return responseFromHost(head, hostBody(body, null));
}

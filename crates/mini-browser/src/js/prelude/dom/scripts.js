// Script elements. (HTML, "Processing model" of "The script element".)

import { op_decode, op_is_scripting, op_report } from "ops";
import { queueTask } from "../event_loop.js";
import { fireEvent } from "../events.js";
import { load } from "../webidl.js";
import { lowercase } from "./attributes.js";
import { fetchForElement } from "./element_fetch.js";
import { delayLoad, goOn, loadingOf } from "./loading.js";
import { attribute, childTextContent, isConnected, ownOf, wrap } from "./nodes.js";
import { resolve } from "./reflect.js";
import { runClassicScript } from "./script_runner.js";
import { recordSteps } from "./steps.js";

// JavaScript MIME type essence match.
const JAVASCRIPT = new Set(["application/ecmascript", "application/javascript", "application/x-ecmascript", "application/x-javascript", "text/ecmascript",
  "text/javascript", "text/javascript1.0", "text/javascript1.1", "text/javascript1.2", "text/javascript1.3", "text/javascript1.4", "text/javascript1.5",
  "text/jscript", "text/livescript", "text/x-ecmascript", "text/x-javascript"]);

// Prepare the script element. `parser` is the parser that met its end tag, if one did.
export function prepareScript(element, parser = null) {
  const own = ownOf(element);
  // Steps 1 to 7.
  if (own.alreadyStarted) return;
  const parserDocument = own.parserDocument ?? null;
  own.parserDocument = null;
  if (parserDocument !== null && attribute(element, "async") === null) own.forceAsync = true;
  const source = childTextContent(element);
  const src = attribute(element, "src");
  if (src === null && source === "") return;
  if (!isConnected(element)) return;
  // Steps 8 to 11.
  const type = typeOf(element);
  if (type === null) return;
  own.type = type;
  // Steps 12 to 15.
  if (parserDocument !== null) {
    own.parserDocument = parserDocument;
    own.forceAsync = false;
  }
  own.alreadyStarted = true;
  const { document } = element;
  own.preparationDocument = document;
  if (parserDocument !== null && parserDocument !== document) return;
  // Steps 16 and 17.
  if (!document.isShown || !op_is_scripting()) return;
  if (attribute(element, "nomodule") !== null && type === "classic") return;
  // Step 19.
  if (type === "classic" && !isForLoad(element)) return;
  own.isExternal = src !== null;
  own.result = undefined;
  // Steps 31 and 32.
  if (src !== null ? !fetchExternal(element, own, type, src) : !createInline(element, own, type, source)) return;
  // Steps 33 and 34.
  const isAsync = attribute(element, "async") !== null || own.forceAsync !== false;
  schedule(element, own, type, isAsync, parserDocument, parser);
}

function schedule(element, own, type, isAsync, parserDocument, parser) {
  const loading = loadingOf(element.document);
  if (type === "classic" && !own.isExternal) {
    // Immediately execute the script element, even if other scripts are already executing.
    executeScript(element);
  } else if (isAsync) {
    loading.asSoonAsPossible.add(element);
    whenReady(own, () => {
      executeScript(element);
      loading.asSoonAsPossible.delete(element);
      goOn(element.document);
    });
  } else if (parserDocument === null) {
    const entry = { element, isReady: false };
    loading.inOrder.push(entry);
    whenReady(own, () => {
      entry.isReady = true;
      while (loading.inOrder.length > 0 && loading.inOrder[0].isReady) {
        executeScript(loading.inOrder[0].element);
        loading.inOrder.shift();
      }
      goOn(element.document);
    });
  } else if (attribute(element, "defer") !== null || type === "module") {
    const entry = { element, isReady: false };
    loading.whenParsed.push(entry);
    whenReady(own, () => {
      entry.isReady = true;
      goOn(element.document);
    });
  } else {
    const owner = parser ?? parserDocument.parser;
    owner.blocking = { element, isReady: false };
    whenReady(own, () => owner.unblock());
  }
}

// Step 8: "classic", "module", "importmap", or null for what is none.
function typeOf(element) {
  const type = attribute(element, "type");
  const language = attribute(element, "language");
  let string;
  if (type === "" || (type === null && (language === "" || language === null))) string = "text/javascript";
  else if (type !== null) string = type.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "");
  else string = `text/${language}`;
  const keyword = lowercase(string);
  if (JAVASCRIPT.has(keyword)) return "classic";
  return keyword === "module" || keyword === "importmap" ? keyword : null;
}

// Step 19.
function isForLoad(element) {
  const event = attribute(element, "event");
  const target = attribute(element, "for");
  if (event === null || target === null) return true;
  return lowercase(target.trim()) === "window" && /^onload(\(\))?$/i.test(event.trim());
}

// Step 31: false if nothing comes of it.
function fetchExternal(element, own, type, src) {
  const fail = () => {
    queueTask("dom", () => fireEvent(wrap(element), "error", true));
    return false;
  };
  if (type === "importmap") return fail();
  if (src === "") return fail();
  const url = resolve(element, src);
  if (url === null) return fail();
  const release = delayLoad(element.document);
  const settings = {
    crossOrigin: crossOriginOf(element), integrity: attribute(element, "integrity") ?? undefined, referrerPolicy: lowercase(attribute(element, "referrerpolicy") ?? ""),
  };
  const fetched = type === "module" ? fetchModule(url, settings) : fetchClassic(url, attribute(element, "charset"), settings);
  fetched.then((result) => markReady(own, result), () => markReady(own, null)).finally(release);
  return true;
}

// The state of a crossorigin attribute.
export function crossOriginOf(element) {
  const value = attribute(element, "crossorigin");
  if (value === null) return null;
  return lowercase(value) === "use-credentials" ? "use-credentials" : "anonymous";
}

// Fetch a classic script.
async function fetchClassic(url, charset, settings) {
  let response;
  try {
    response = await fetchForElement({ url, destination: "script", ...settings });
  } catch {
    return null;
  }
  if (!response.isOk) return null;
  const bytes = await response.bytes();
  return { source: op_decode(bytes, charsetOf(response.contentType) ?? charset ?? "utf-8"), url: response.url ?? url, isMuted: response.type === "opaque" };
}

const charsetOf = (contentType) => /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType ?? "")?.[1] ?? null;

// Fetch an external module script graph.
async function fetchModule(url, settings) {
  return { module: await load("module_scripts.js").fetchExternal(url, settings) };
}

// Step 32.
function createInline(element, own, type, source) {
  const baseUrl = element.document.home.baseUrlOf(element.document);
  switch (type) {
    case "classic":
      own.result = { source, url: element.document.home.urlOf(element.document), isMuted: false };
      return true;
    case "module": {
      const release = delayLoad(element.document);
      const fetched = load("module_scripts.js").fetchInline(source, baseUrl).then((module) => ({ module }));
      fetched.then((result) => markReady(own, result), (error) => {
        op_report(error);
        markReady(own, null);
      }).finally(release);
      return true;
    }
    default:
      load("module_scripts.js").registerImportMap(source);
      return false;
  }
}

// Mark as ready.
function markReady(own, result) {
  own.result = result === null || result?.module === null ? null : result;
  const { onReady } = own;
  own.onReady = null;
  onReady?.();
}

// The steps to run when the result is ready: a task, as it comes from the network.
function whenReady(own, steps) {
  const later = () => queueTask("networking", steps);
  if (own.result === undefined) own.onReady = later;
  else later();
}

// Execute the script element.
export function executeScript(element) {
  const own = ownOf(element);
  const { document } = element;
  // Steps 1 to 4.
  if (own.preparationDocument !== document) return;
  const { result } = own;
  if (result === null || result === undefined) {
    fireEvent(wrap(element), "error");
    return;
  }
  // Steps 5 to 7.
  const isCounted = own.isExternal || own.type === "module";
  if (isCounted) document.ignoreDestructiveWrites = (document.ignoreDestructiveWrites ?? 0) + 1;
  const old = document.currentScript ?? null;
  try {
    if (own.type === "classic") {
      document.currentScript = element;
      own.isMuted = result.isMuted;
      runClassicScript(result.source, result.url, element);
    } else {
      document.currentScript = null;
      load("module_scripts.js").run(result.module);
    }
  } catch (error) {
    op_report(error);
  } finally {
    document.currentScript = old;
    if (isCounted) document.ignoreDestructiveWrites -= 1;
  }
  own.result = null;
  // Step 8.
  if (own.isExternal) fireEvent(wrap(element), "load");
}

// The pending parsing-blocking script, and a script of the list of those that wait for the end.
export const executeBlockingScript = executeScript;
export const executeDeferred = executeScript;

// What happens to a script element outside of a parser.
recordSteps.set("script", {
  connected(element) { if (!isOfParser(element)) prepareScript(element); },
  children(element) { if (!isOfParser(element) && isConnected(element)) prepareScript(element); },
  changed(element, name, old, value) {
    if (name === "async" && value !== null) ownOf(element).forceAsync = false;
    if (name === "src" && old === null && value !== null && !isOfParser(element) && isConnected(element)) prepareScript(element);
  },
});

const isOfParser = (element) => (element.own?.parserDocument ?? null) !== null;


// How a document loads: its readiness, what delays its load event, and the end. (HTML, "The end".)

import { op_loaded, op_now } from "ops";
import { queueTask } from "../event_loop.js";
import { Event, fire, fireEvent } from "../events.js";
import { load } from "../webidl.js";
import { recordIfNode } from "./node.js";
import { wrap } from "./nodes.js";

// Update the current document readiness.
export function setReadyState(document, state) {
  if (document.readyState === state) return;
  document.readyState = state;
  // Nobody can listen to a document that no script has seen.
  if (document.wrapper !== null) fireEvent(document.wrapper, "readystatechange");
}

// Notes in the document's load timing info when it did what.
function note(document, ...names) {
  document.times ??= {};
  const now = op_now();
  for (const name of names) document.times[name] = now;
}

// Delays the load event of a document until the function that it gives is called.
export function delayLoad(document) {
  const record = recordIfNode(document) ?? document;
  const loading = loadingOf(record);
  loading.delays++;
  let isReleased = false;
  return () => {
    if (isReleased) return;
    isReleased = true;
    loading.delays--;
    goOn(record);
  };
}

// The scripts that a document waits for, and how far it is.
export function loadingOf(document) {
  document.loading ??= {
    stage: "parsing",
    delays: 0,
    // The set of scripts that will execute as soon as possible.
    asSoonAsPossible: new Set(),
    // The list of scripts that will execute in order as soon as possible: { element, isReady }.
    inOrder: [],
    // The list of scripts that will execute when the document has finished parsing: { element, isReady }.
    whenParsed: [],
    whenLoaded: [],
  };
  return document.loading;
}

// Whether DOMContentLoaded has been fired at a document.
export function isContentLoaded(document) {
  const { stage } = loadingOf(recordIfNode(document) ?? document);
  return stage !== "parsing" && stage !== "scripts" && stage !== "content";
}

// Calls a function when the document has loaded, also if it has already.
export function documentLoaded(document, then) {
  const record = recordIfNode(document) ?? document;
  const loading = loadingOf(record);
  if (loading.stage === "done") then();
  else loading.whenLoaded.push(then);
}

// The document was not parsed, and has nothing to wait for.
export function alreadyLoaded(document) {
  loadingOf(document).stage = "done";
  document.readyState = "complete";
}

// The end, when the parser has stopped.
export function theEnd(document) {
  loadingOf(document).stage = "scripts";
  note(document, "domInteractive");
  setReadyState(document, "interactive");
  goOn(document);
}

// Goes through the steps as far as nothing holds them up.
export function goOn(document) {
  const loading = loadingOf(document);
  // Step 5: scripts that were deferred.
  while (loading.stage === "scripts") {
    const [next] = loading.whenParsed;
    if (next === undefined) {
      loading.stage = "content";
      // Step 6.
      queueTask("document", () => {
        if (loading.stage !== "content") return;
        note(document, "domContentLoadedEventStart");
        if (document.wrapper !== null || document.isShown) fire(new Event("DOMContentLoaded", { bubbles: true }), wrap(document), true);
        note(document, "domContentLoadedEventEnd");
        loading.stage = "loading";
        goOn(document);
      });
      return;
    }
    if (!next.isReady) return;
    loading.whenParsed.shift();
    load("dom/scripts.js").executeDeferred(next.element);
  }
  // Steps 7 and 8.
  if (loading.stage !== "loading" || loading.asSoonAsPossible.size > 0 || loading.inOrder.length > 0 || loading.delays > 0) return;
  loading.stage = "finishing";
  // Step 9.
  queueTask("document", () => {
    if (loading.stage !== "finishing") return;
    // Something delays it again.
    if (loading.delays > 0) {
      loading.stage = "loading";
      return;
    }
    loading.stage = "done";
    note(document, "domComplete");
    setReadyState(document, "complete");
    if (document.isShown) {
      const { global } = document.home;
      note(document, "loadEventStart");
      fire(new Event("load"), global, true, false, wrap(document));
      note(document, "loadEventEnd");
      const { PageTransitionEvent } = load("navigation_events.js");
      fire(new PageTransitionEvent("pageshow", { persisted: false }), global, true, false, wrap(document));
    }
    for (const then of loading.whenLoaded.splice(0)) then();
    // Completely finish loading.
    if (document.isShown) op_loaded();
  });
}

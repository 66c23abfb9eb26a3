// Module scripts of documents. (HTML, "Fetching scripts"; "Calling scripts".)

import { op_create_module, op_fetch_module, op_register_import_map, op_report, op_run_module } from "ops";
import { fromOp } from "./webidl.js";

// The module map: URLs to promises of module scripts, or of null.
const map = new Map();

// Fetch an external module script graph: a promise of a module script, or of null if it cannot be fetched.
// `crossOrigin` is the state of a crossorigin attribute, and `integrity` the value of that attribute, or null.
export function fetchExternal(url, { crossOrigin = null, integrity = null } = {}) {
  let script = map.get(url);
  // CORS settings attribute credentials mode.
  if (script === undefined) map.set(url, script = fetch(url, crossOrigin === "use-credentials" ? "include" : "same-origin", integrity));
  return script;
}

async function fetch(url, credentials, integrity) {
  let fetched;
  try {
    fetched = await op_fetch_module(url, credentials, integrity);
  } catch {
    return null;
  }
  return create(fetched.source, fetched.url);
}

// Fetch an inline module script graph.
export async function fetchInline(source, baseUrl) { return create(source, baseUrl); }

// Parse and register an import map; what is none is reported.
export function registerImportMap(text) {
  try {
    op_register_import_map(text);
  } catch (error) {
    op_report(fromOp(error));
  }
}

// `{ script, evaluation }`, `{ error }` or null.
function create(source, url) { return op_create_module(source, url) ?? null; }

// Run a module script: a promise that is fulfilled when its evaluation is over. What it throws is reported.
export function run(module) {
  if (module.script === undefined) {
    op_report(module.error);
    return Promise.resolve();
  }
  module.evaluation ??= op_run_module(module.script).then(() => undefined, op_report);
  return module.evaluation;
}

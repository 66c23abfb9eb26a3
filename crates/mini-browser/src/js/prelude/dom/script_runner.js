// Runs the scripts of documents.

import { op_run_classic } from "ops";
import { errorOf } from "../webidl.js";

// Run a classic script; what it throws is reported. False if it threw. `element` is its script element.
export function runClassicScript(source, url, element) {
  return op_run_classic(source.toWellFormed(), url, element?.own?.isMuted === true);
}

let modules = null;

// Set by what loads modules: { fetchExternal(url, options): promise of a module script, or of null if it
// failed; fetchInline(source, baseUrl, options): the same; run(module script): promise of its evaluation }.
export function setModuleLoader(loader) { modules = loader; }

// What loads modules; throws while nothing does.
export function moduleLoader() {
  if (modules === null) throw errorOf("NotSupportedError", "module scripts are not offered yet");
  return modules;
}

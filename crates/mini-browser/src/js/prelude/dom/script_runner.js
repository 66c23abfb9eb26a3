// Runs the scripts of documents.

import { op_run_classic } from "ops";
import { load } from "../webidl.js";

// Run a classic script; what it throws is reported. False if it threw. `element` is its script element.
export function runClassicScript(source, url, element) {
  return op_run_classic(source.toWellFormed(), url, element?.own?.isMuted === true);
}

// What loads modules: { fetchExternal(url, options): promise of a module script, or of null if it failed;
// fetchInline(source, baseUrl, options): the same; run(module script): promise of its evaluation }.
export const moduleLoader = () => load("module_scripts.js");

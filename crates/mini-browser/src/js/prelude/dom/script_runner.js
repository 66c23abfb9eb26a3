// Runs the scripts of documents.

import { op_run_classic } from "ops";

// Run a classic script; what it throws is reported. False if it threw. `element` is its script element.
export function runClassicScript(source, url, element) {
  return op_run_classic(source.toWellFormed(), url, element?.own?.isMuted === true);
}

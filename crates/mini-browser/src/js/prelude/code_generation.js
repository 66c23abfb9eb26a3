// Code from strings: eval(), the Function constructors and timers, and where a Content Security Policy forbids it.
// (Content Security Policy, "EnsureCSPDoesNotBlockStringCompilation".)

import { op_blocks_code_generation } from "ops";
import { global } from "./realms.js";

// Called by another name, so that it evaluates a classic script of the global scope.
const { eval: indirectly, EvalError } = global;
const { defineProperty, getPrototypeOf } = Object;

let isForbidden = false;
const refusal = () => new EvalError("The Content Security Policy allows no code from strings");

// Evaluates a script of the global scope.
export function evaluate(source) {
  if (isForbidden) throw refusal();
  return indirectly(source);
}

// The global has its policies: from now on, what they forbid is. The engine knows no such check, so the functions
// through which scripts get there are replaced by ones that look the same.
export function checkCodeGeneration() {
  if (isForbidden || !op_blocks_code_generation()) return;
  isForbidden = true;
  const { eval: evaluation } = {
    eval(x) {
      if (typeof x === "string") throw refusal();
      return x;
    },
  };
  defineProperty(global, "eval", { value: evaluation, writable: true, enumerable: false, configurable: true });
  for (const sample of [() => {}, async () => {}, function* () {}, async function* () {}]) {
    const prototype = getPrototypeOf(sample);
    const { constructor } = prototype;
    const refusing = function () { throw refusal(); };
    defineProperty(refusing, "name", { value: constructor.name, configurable: true });
    defineProperty(refusing, "length", { value: constructor.length, configurable: true });
    defineProperty(refusing, "prototype", { value: prototype, writable: false });
    defineProperty(prototype, "constructor", { value: refusing });
    if (constructor === global.Function) defineProperty(global, "Function", { value: refusing });
  }
}

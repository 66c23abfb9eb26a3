// Rows J1 to J3 in Node, Deno or Bun: `rival.mjs ID COUNT` prints the value.

import { readFileSync } from "node:fs";

const [id, count] = globalThis.Deno ? Deno.args : process.argv.slice(2);
const measure = (0, eval)(readFileSync(new URL("measure.js", import.meta.url), "utf8"));

// Node's workers have another API.
const isNode = globalThis.process?.versions?.node !== undefined && !globalThis.Deno && !globalThis.Bun;
const threads = isNode ? await import("node:worker_threads") : null;

function start(source) {
  if (!isNode) return new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
  const prefix = "const { parentPort } = require('node:worker_threads'); const postMessage = (value) => parentPort.postMessage(value); let onmessage; parentPort.on('message', (data) => onmessage({ data }));";
  const thread = new threads.Worker(prefix + source, { eval: true });
  thread.on("message", (data) => thread.onmessage?.({ data }));
  return thread;
}

console.log(await measure(id, Number(count), start));
globalThis.Deno ? Deno.exit(0) : process.exit(0);

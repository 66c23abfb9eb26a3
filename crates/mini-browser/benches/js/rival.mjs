// Rows J1 to J3 in Node, Deno or Bun: `rival.mjs ID COUNT` prints the value.

const [id, countText] = (globalThis.Deno ? Deno.args : process.argv.slice(2));
const count = Number(countText);

const worker = {
  J1: "onmessage = ({ data }) => postMessage(data);",
  J2: "let left = 0; onmessage = ({ data }) => { if (data.count) left = data.count; else if (data.text.length === 100 && --left === 0) postMessage('done'); };",
  J3: "postMessage('first');",
}[id];

// A worker with onmessage, postMessage and terminate, whichever API the engine has.
const isNode = globalThis.process?.versions?.node !== undefined && !globalThis.Deno && !globalThis.Bun;
const threads = isNode ? await import("node:worker_threads") : null;

function start() {
  if (!isNode) return new Worker(URL.createObjectURL(new Blob([worker], { type: "text/javascript" })), { type: "module" });
  const prefix = "const { parentPort } = require('node:worker_threads'); const postMessage = (value) => parentPort.postMessage(value); let onmessage; parentPort.on('message', (data) => onmessage({ data }));";
  const thread = new threads.Worker(prefix + worker, { eval: true });
  thread.on("message", (data) => thread.onmessage?.({ data }));
  return thread;
}

const heard = (thread) => new Promise((resolve) => { thread.onmessage = resolve; });

const value = await {
  async J1() {
    const thread = start();
    const answered = heard(thread);
    thread.postMessage("warm");
    await answered;
    const begun = performance.now();
    await new Promise((resolve) => {
      let left = count;
      thread.onmessage = () => { if (--left === 0) resolve(); else thread.postMessage("ping"); };
      thread.postMessage("ping");
    });
    const spent = performance.now() - begun;
    thread.terminate();
    return spent * 1000 / count;
  },
  async J2() {
    const thread = start();
    const done = heard(thread);
    thread.postMessage({ count: 1 });
    thread.postMessage({ id: 0, text: "x".repeat(100) });
    await done;
    const text = "x".repeat(100);
    thread.postMessage({ count });
    const all = heard(thread);
    const begun = performance.now();
    for (let id = 0; id < count; id++) thread.postMessage({ id, text });
    await all;
    const spent = performance.now() - begun;
    thread.terminate();
    return count / spent / 1000;
  },
  async J3() {
    let spent = 0;
    for (let i = 0; i < count; i++) {
      const begun = performance.now();
      const thread = start();
      await heard(thread);
      spent += performance.now() - begun;
      await thread.terminate();
    }
    return spent / count;
  },
}[id]();

console.log(value);
globalThis.Deno ? Deno.exit(0) : process.exit(0);

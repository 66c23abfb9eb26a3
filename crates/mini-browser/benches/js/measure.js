// Rows J1 to J3, in whatever has workers: (id, count) to a promise of the value.
async (id, count, start = (source) => new Worker(`data:text/javascript,${encodeURIComponent(source)}`)) => {
  const sources = {
    J1: "onmessage = ({ data }) => postMessage(data);",
    J2: "let left = 0; onmessage = ({ data }) => { if (data.count) left = data.count; else if (data.text.length === 100 && --left === 0) postMessage('done'); };",
    J3: "postMessage('first');",
  };
  const worker = () => start(sources[id]);
  const heard = (thread) => new Promise((resolve) => { thread.onmessage = resolve; });
  const text = "x".repeat(100);
  switch (id) {
    case "J1": {
      const thread = worker();
      const warm = heard(thread);
      thread.postMessage("warm");
      await warm;
      const begun = performance.now();
      await new Promise((resolve) => {
        let left = count;
        thread.onmessage = () => { if (--left === 0) resolve(); else thread.postMessage("ping"); };
        thread.postMessage("ping");
      });
      const spent = performance.now() - begun;
      thread.terminate();
      return spent * 1000 / count;
    }
    case "J2": {
      const thread = worker();
      const warm = heard(thread);
      thread.postMessage({ count: 1 });
      thread.postMessage({ id: 0, text });
      await warm;
      thread.postMessage({ count });
      const all = heard(thread);
      const begun = performance.now();
      for (let id = 0; id < count; id++) thread.postMessage({ id, text });
      await all;
      const spent = performance.now() - begun;
      thread.terminate();
      return count / spent / 1000;
    }
    default: {
      let spent = 0;
      for (let i = 0; i < count; i++) {
        const begun = performance.now();
        const thread = worker();
        await heard(thread);
        spent += performance.now() - begun;
        await thread.terminate();
      }
      return spent / count;
    }
  }
};

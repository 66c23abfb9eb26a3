// Parsing a document: the native parser stops at each script, which runs before it goes on. (HTML,
// "Parsing HTML documents".)

import { op_is_scripting, op_microtasks, op_parser_abort, op_parser_append, op_parser_end, op_parser_feed, op_parser_open, op_parser_run, op_parser_write } from "ops";
import { isHtml } from "./nodes.js";
import { setReadyState, theEnd } from "./loading.js";
import { executeBlockingScript, prepareScript } from "./scripts.js";
import { TreeBuilder } from "./tree_builder.js";
import { popped } from "./steps.js";

// How many characters are parsed at a time.
const PIECE = 1 << 15;

export class DocumentParser {
  #id;
  #builder;
  #isEnded = false;
  #isRunning = false;
  constructor(document, { isScriptCreated = false } = {}) {
    this.document = document;
    this.isScriptCreated = isScriptCreated;
    this.isAborted = false;
    // The script nesting level.
    this.nesting = 0;
    // The pending parsing-blocking script: { element, isReady }.
    this.blocking = null;
    this.#id = op_parser_open(document.isShown && op_is_scripting());
    this.#builder = new TreeBuilder(document, { onPopped: popped });
    document.parser = this;
    setReadyState(document, "loading");
  }

  // Whether document.write() has a place to write to.
  get hasInsertionPoint() { return !this.isAborted && (this.isScriptCreated ? !this.#isEnded : this.nesting > 0); }

  // More of the resource.
  feed(text) {
    if (this.isAborted) return;
    const wellFormed = text.toWellFormed();
    // In pieces, as the native parser cannot be interrupted.
    for (let at = 0; at < wellFormed.length && !this.isAborted;) {
      let end = at + PIECE;
      if (end < wellFormed.length && (wellFormed.charCodeAt(end) & 0xfc00) === 0xdc00) end++;
      op_parser_feed(this.#id, wellFormed.slice(at, end));
      at = end;
      this.run();
    }
  }

  // The end of the resource.
  end() {
    if (this.isAborted) return;
    this.#isEnded = true;
    this.run();
  }

  // document.close()
  close() {
    if (this.isAborted || this.#isEnded) return;
    this.#isEnded = true;
    this.run();
  }

  // document.write(), step 9 and on.
  write(text) {
    if (this.isScriptCreated && this.nesting === 0) {
      op_parser_feed(this.#id, text.toWellFormed());
      this.run();
    } else if (this.blocking !== null) {
      op_parser_append(this.#id, text.toWellFormed());
    } else {
      op_parser_write(this.#id, text.toWellFormed());
      this.#parse(true);
    }
  }

  // Goes on, unless a script has to come first.
  run() {
    if (this.isAborted || this.#isRunning || this.blocking !== null || this.nesting > 0) return;
    this.#isRunning = true;
    try {
      this.#parse(false);
    } finally {
      this.#isRunning = false;
    }
    if (this.isAborted || !this.#isEnded || this.blocking !== null) return;
    this.#builder.build(op_parser_end(this.#id));
    this.#stop();
  }

  // Abort a parser.
  abort() {
    if (this.isAborted) return;
    this.isAborted = true;
    op_parser_abort(this.#id);
    this.#stopped();
  }

  #parse(onlyWritten) {
    while (!this.isAborted && this.blocking === null) {
      const [operations, script] = op_parser_run(this.#id, onlyWritten);
      this.#builder.build(operations);
      if (script === null || script === undefined) return;
      this.#endOfScript(this.#builder.nodes[script]);
    }
  }

  // An end tag whose tag name is "script".
  #endOfScript(element) {
    this.#checkpoint();
    this.nesting++;
    try {
      if (isHtml(element, "script")) prepareScript(element, this);
    } finally {
      this.nesting--;
    }
    this.#checkpoint();
    this.#runBlocking();
  }

  // "While the pending parsing-blocking script is not null", at the outermost level and once it is ready.
  #runBlocking() {
    while (this.blocking !== null && this.nesting === 0 && this.blocking.isReady && !this.isAborted) {
      const { element } = this.blocking;
      this.blocking = null;
      this.nesting++;
      try {
        executeBlockingScript(element);
      } finally {
        this.nesting--;
      }
      this.#checkpoint();
    }
  }

  // The pending parsing-blocking script is ready.
  unblock() {
    if (this.blocking === null) return;
    this.blocking.isReady = true;
    if (this.nesting > 0) return;
    this.#runBlocking();
    this.run();
  }

  // Perform a microtask checkpoint, if no script is running.
  #checkpoint() { if (this.nesting === 0 && !this.isScriptCreated) op_microtasks(); }

  // Stop parsing.
  #stop() {
    this.isAborted = true;
    this.#stopped();
    theEnd(this.document);
  }

  #stopped() {
    if (this.document.parser === this) this.document.parser = null;
    this.#builder = null;
  }
}

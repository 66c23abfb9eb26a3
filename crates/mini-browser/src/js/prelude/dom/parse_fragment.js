// The HTML fragment parsing algorithm.

import { op_parse_fragment, op_parser_end, op_parser_feed, op_parser_open, op_parser_run } from "ops";
import { childrenOf, isHtml, newDocument, newFragment, HTML } from "./nodes.js";
import { adopt, append, remove } from "./mutation.js";
import { connectAll } from "./names.js";
import { TreeBuilder } from "./tree_builder.js";

// A fragment of the nodes that `text` gives in the context of an element.
export function parseFragment(context, text) {
  const { document } = context;
  // Steps 1 to 3: a document of its own, so that nothing is loaded or run yet.
  const inert = newDocument({ isHtml: true, url: document.url ?? document.home.urlOf(document), home: document.home });
  inert.mode = document.mode;
  const top = newFragment(inert);
  const builder = new TreeBuilder(top, { isFragment: true });
  // The numbers of what is there already: those of a template's contents, the context and its form.
  if (isHtml(context, "template")) builder.nodes.push(null);
  builder.nodes.push(context);
  let form = context;
  while (form !== null && !isHtml(form, "form")) form = form.parent;
  if (form !== null) builder.nodes.push(form);
  builder.build(op_parse_fragment(text.toWellFormed(), context.namespace ?? HTML, context.localName, inert.mode, form !== null));
  // The children of the root go into a fragment.
  const fragment = newFragment(inert);
  for (const child of top.first === null ? [] : childrenOf(top.first)) {
    remove(child, true);
    append(child, fragment);
  }
  adopt(fragment, document);
  // Scripts that come in by a fragment never run.
  return fragment;
}

// Parses a whole document that no scripts run in.
export function parseWhole(document, text) {
  const builder = new TreeBuilder(document, { isFragment: true });
  const id = op_parser_open(false);
  op_parser_feed(id, text.toWellFormed());
  for (let script = null; script !== undefined;) {
    const [operations, stopped] = op_parser_run(id, false);
    builder.build(operations);
    script = stopped ?? undefined;
  }
  builder.build(op_parser_end(id));
  connectAll(document);
}

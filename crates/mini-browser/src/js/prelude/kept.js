// What the host keeps under a number until no script can reach it any more.

import { op_forget } from "ops";

const collected = new FinalizationRegistry(({ kind, id }) => op_forget(kind, id));

// An object that stands for what the host keeps: `{ id }`. Once it is collected the host forgets.
// `kind` is "requester", "response", "body" or "cache"; a null id gives null.
export function keep(kind, id) {
  if (id === null) {
    return null;
  }
  const kept = { id };
  collected.register(kept, { kind, id });
  return kept;
}

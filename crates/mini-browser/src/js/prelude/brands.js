// Whether a value is an object of an interface whose module may not be loaded here: then it is none of this realm.
// A module puts its test here when it is loaded. Objects of the other realms of the agent count too: what they
// hold is asked of their realm, by a hook that gives it for an object of its own, and null for anything else.

import { op_ask_realms } from "ops";

// What another realm of the agent says of an object; null if it is none of theirs.
export function foreign(hook, value) {
  return typeof value === "object" && value !== null ? op_ask_realms(hook, value) ?? null : null;
}

export const brands = {
  isBlob: (value) => foreign("blob parts", value) !== null,
  isFormData: (value) => foreign("form data entries", value) !== null,
  isReadableStream: (value) => foreign("readable stream", value) !== null,
  // What a URLPattern was created with. Where rules are added there is one realm.
  urlPatternArguments: () => null,
};

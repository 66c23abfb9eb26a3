// What a body can be made of, beside bytes and strings: each class adds itself once it is loaded. (What has no
// instance need not be loaded to know that a value is none.)

const types = [];

// `is(value)`, and `extract(value)`, which gives `{ body, type }`. (Fetch, "extract".)
export function addBodyType(type) { types.push(type); }

// The type of a value, or undefined.
export const bodyTypeOf = (value) => (typeof value === "object" && value !== null ? types.find(({ is }) => is(value)) : undefined);

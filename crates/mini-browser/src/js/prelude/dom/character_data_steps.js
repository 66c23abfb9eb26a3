// Changes of text and comments. (DOM, "Interface CharacterData", its algorithms.)

import { errorOf } from "../webidl.js";
import { queueRecord } from "./mutation_records.js";

// Replace data.
export function replaceData(node, offset, count, data) {
  const { length } = node.data;
  if (offset > length) throw errorOf("IndexSizeError", `The offset ${offset} is behind the end`);
  if (offset + count > length) count = length - offset;
  queueRecord("characterData", node, { oldValue: node.data });
  node.data = node.data.slice(0, offset) + data + node.data.slice(offset + count);
  node.document.version++;
  if (node.parent !== null) node.document.home.childrenChanged(node.parent);
}

// Substring data.
export function substringData(node, offset, count) {
  if (offset > node.data.length) throw errorOf("IndexSizeError", `The offset ${offset} is behind the end`);
  return node.data.slice(offset, offset + count);
}

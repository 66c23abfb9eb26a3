// StorageManager. (Storage, "The StorageManager interface".)

import { op_has_storage, op_storage_estimate } from "ops";
import { global, windowProxy } from "./realms.js";
import { HOST, callAsync, idl, illegal } from "./webidl.js";

export class StorageManager {
  #brand = true;
  constructor() { illegal(arguments[0]); }
  // No bucket is persistent: nobody may be asked.
  async persisted() {
    this.#brand;
    return withShelf("persisted", false);
  }
  async persist() {
    this.#brand;
    return withShelf("persist", false);
  }
  async estimate() {
    this.#brand;
    const { usage, quota, ...usageDetails } = await callAsync(op_storage_estimate);
    // What takes nothing is not told of.
    for (const kind in usageDetails) {
      if (usageDetails[kind] === 0) delete usageDetails[kind];
    }
    return { quota, usage, usageDetails };
  }
}
// [Exposed=Window]
if (windowProxy === global) delete StorageManager.prototype.persist;
idl(StorageManager);

export const storage = new StorageManager(HOST);

// Step 3 of all three: an environment that can have no storage, such as one of an opaque origin.
function withShelf(operation, value) {
  if (!op_has_storage()) throw new TypeError(`${operation}: this document or worker may use no storage`);
  return value;
}

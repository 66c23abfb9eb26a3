// MutationObserver and MutationRecord. (DOM, "Mutation observers".)

import { op_report } from "ops";
import { queueMicrotask } from "../events.js";
import { DOMString, HOST, callback, dictionary, idl, illegal, required, sequence } from "../webidl.js";
import { staticList } from "./collections.js";
import { observe, unobserve } from "./mutation_records.js";
import { nodeArgument, recordIfNode } from "./node.js";

const records = new WeakMap();

export class MutationRecord {
  constructor(...args) {
    illegal(args[0]);
    records.set(this, args[1]);
  }
  get type() { return records.get(this).type; }
  get target() { return records.get(this).target; }
  get addedNodes() { return nodes(records.get(this), "added"); }
  get removedNodes() { return nodes(records.get(this), "removed"); }
  get previousSibling() { return records.get(this).previousSibling; }
  get nextSibling() { return records.get(this).nextSibling; }
  get attributeName() { return records.get(this).attributeName; }
  get attributeNamespace() { return records.get(this).attributeNamespace; }
  get oldValue() { return records.get(this).oldValue; }
}
idl(MutationRecord);

function nodes(record, name) {
  return (record[`${name}Nodes`] ??= staticList(record[name].map(recordIfNode)));
}

// Observers that have records, in the order in which they were made.
const pending = new Set();
let isQueued = false;
let created = 0;

// Notify mutation observers.
function notify() {
  isQueued = false;
  const observers = [...pending].sort((a, b) => a.order - b.order);
  pending.clear();
  for (const observer of observers) observer.notify();
}

export class MutationObserver {
  #callback;
  #records = [];
  #nodes = [];
  #inner;
  constructor(...args) {
    required(args.length, 1, "MutationObserver");
    this.#callback = callback(args[0], "The argument of MutationObserver");
    this.#inner = {
      order: created++,
      enqueue: (record) => {
        this.#records.push(new MutationRecord(HOST, record));
        pending.add(this.#inner);
        if (isQueued) return;
        isQueued = true;
        queueMicrotask(notify);
      },
      notify: () => {
        const taken = this.takeRecords();
        if (taken.length === 0) return;
        try {
          this.#callback.call(this, taken, this);
        } catch (error) {
          op_report(error);
        }
      },
    };
  }
  observe(target, options = undefined) {
    required(arguments.length, 1, "observe");
    const node = nodeArgument(target, "observe");
    const given = dictionary(options, "The options of observe");
    const { subtree, childList, attributeFilter } = given;
    let { attributes, characterData } = given;
    // Steps 1 to 6.
    if (attributes === undefined && (given.attributeOldValue !== undefined || attributeFilter !== undefined)) attributes = true;
    if (characterData === undefined && given.characterDataOldValue !== undefined) characterData = true;
    if (!childList && !attributes && !characterData) throw new TypeError("observe: nothing is to be observed");
    if (given.attributeOldValue && !attributes) throw new TypeError("observe: attributeOldValue without attributes");
    if (attributeFilter !== undefined && !attributes) throw new TypeError("observe: attributeFilter without attributes");
    if (given.characterDataOldValue && !characterData) throw new TypeError("observe: characterDataOldValue without characterData");
    const isNew = observe(node, this.#inner, {
      subtree: !!subtree, childList: !!childList, attributes: !!attributes, characterData: !!characterData,
      attributeOldValue: !!given.attributeOldValue, characterDataOldValue: !!given.characterDataOldValue,
      attributeFilter: attributeFilter === undefined ? undefined : sequence(attributeFilter, DOMString, "attributeFilter"),
    });
    if (isNew) this.#nodes.push(new WeakRef(node));
  }
  disconnect() {
    for (const node of this.#nodes.splice(0)) {
      const target = node.deref();
      if (target !== undefined) unobserve(target, this.#inner);
    }
    this.#records = [];
  }
  takeRecords() { return this.#records.splice(0); }
}
idl(MutationObserver);

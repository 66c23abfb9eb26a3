// Tables. (HTML, "Tabular data".)

import { errorOf, idl, required } from "../webidl.js";
import { liveCollection } from "./collections.js";
import { HTMLElement } from "./html_element.js";
import { insert, preInsert, remove } from "./mutation.js";
import { childrenOf, isHtml, newElement, wrap } from "./nodes.js";
import { nodeArgument, recordOf } from "./node.js";
import { keywords, reflect } from "./reflect.js";

const children = (record, ...names) => childrenOf(record).filter((child) => names.some((name) => isHtml(child, name)));
const sections = ["thead", "tbody", "tfoot"];
const kept = new WeakMap();

function collection(record, name, find) {
  let own = kept.get(record);
  if (own === undefined) kept.set(record, own = {});
  return (own[name] ??= liveCollection(record, find));
}

// The rows of a table, in the order of its rows attribute.
function rowsOf(table) {
  return [
    ...children(table, "thead").flatMap((section) => children(section, "tr")),
    ...childrenOf(table).flatMap((child) => (isHtml(child, "tr") ? [child] : isHtml(child, "tbody") ? children(child, "tr") : [])),
    ...children(table, "tfoot").flatMap((section) => children(section, "tr")),
  ];
}

// Inserts an element among others at an index; -1 is the end.
function insertAt(parent, others, index, element) {
  if (index < -1 || index > others.length) throw errorOf("IndexSizeError", `There is no place ${index}`);
  const before = index === -1 || index === others.length ? null : others[index];
  insert(element, before?.parent ?? parent, before);
  return wrap(element);
}

function deleteAt(others, index) {
  if (index < -1 || index >= others.length) throw errorOf("IndexSizeError", `There is nothing at ${index}`);
  const found = index === -1 ? others.at(-1) : others[index];
  if (found !== undefined) remove(found);
}

// The first child of that name, made if there is none.
function created(table, name, place) {
  const [found] = children(table, name);
  return wrap(found ?? preInsert(newElement(table.document, name), table, place(table)));
}

const firstChild = (table) => table.first;
const behindCaption = (table) => childrenOf(table).find((child) => child.type === 1 && !isHtml(child, "caption") && !isHtml(child, "colgroup")) ?? null;

function replaceChild(table, name, value, place) {
  const [old] = children(table, name);
  if (value !== null && value !== undefined && !isHtml(nodeArgument(value, name), name)) throw errorOf("HierarchyRequestError", `The element is not a ${name}`);
  if (old !== undefined) remove(old);
  if (value !== null && value !== undefined) preInsert(nodeArgument(value, name), table, place(table));
}

export class HTMLTableElement extends HTMLElement {
  get caption() { return wrap(children(recordOf(this), "caption")[0] ?? null); }
  set caption(value) { replaceChild(recordOf(this), "caption", value, firstChild); }
  createCaption() { return created(recordOf(this), "caption", firstChild); }
  deleteCaption() { children(recordOf(this), "caption").slice(0, 1).forEach((each) => remove(each)); }
  get tHead() { return wrap(children(recordOf(this), "thead")[0] ?? null); }
  set tHead(value) { replaceChild(recordOf(this), "thead", value, behindCaption); }
  createTHead() { return created(recordOf(this), "thead", behindCaption); }
  deleteTHead() { children(recordOf(this), "thead").slice(0, 1).forEach((each) => remove(each)); }
  get tFoot() { return wrap(children(recordOf(this), "tfoot")[0] ?? null); }
  set tFoot(value) { replaceChild(recordOf(this), "tfoot", value, () => null); }
  createTFoot() { return created(recordOf(this), "tfoot", () => null); }
  deleteTFoot() { children(recordOf(this), "tfoot").slice(0, 1).forEach((each) => remove(each)); }
  get tBodies() {
    const record = recordOf(this);
    return collection(record, "tBodies", () => children(record, "tbody"));
  }
  createTBody() {
    const record = recordOf(this);
    return wrap(preInsert(newElement(record.document, "tbody"), record, children(record, "tbody").at(-1)?.next ?? null));
  }
  get rows() {
    const record = recordOf(this);
    return collection(record, "rows", () => rowsOf(record));
  }
  insertRow(index = -1) {
    const record = recordOf(this);
    const rows = rowsOf(record);
    let section = record;
    if (rows.length === 0) section = children(record, "tbody").at(-1) ?? preInsert(newElement(record.document, "tbody"), record, null);
    else if (index === -1 || index === rows.length) section = rows.at(-1).parent;
    return insertAt(section, rows, Number(index) | 0, newElement(record.document, "tr"));
  }
  deleteRow(index) {
    required(arguments.length, 1, "deleteRow");
    deleteAt(rowsOf(recordOf(this)), Number(index) | 0);
  }
}
reflect(HTMLTableElement, {
  align: "string", border: "string", frame: "string", rules: "string", summary: "string", width: "string", bgColor: "string", cellPadding: "string",
  cellSpacing: "string",
});
idl(HTMLTableElement);

export class HTMLTableSectionElement extends HTMLElement {
  get rows() {
    const record = recordOf(this);
    return collection(record, "rows", () => children(record, "tr"));
  }
  insertRow(index = -1) {
    const record = recordOf(this);
    return insertAt(record, children(record, "tr"), Number(index) | 0, newElement(record.document, "tr"));
  }
  deleteRow(index) {
    required(arguments.length, 1, "deleteRow");
    deleteAt(children(recordOf(this), "tr"), Number(index) | 0);
  }
}
reflect(HTMLTableSectionElement, { align: "string", ch: ["string", "char"], chOff: ["string", "charoff"], vAlign: "string" });
idl(HTMLTableSectionElement);

export class HTMLTableRowElement extends HTMLElement {
  get rowIndex() {
    const record = recordOf(this);
    let table = record.parent;
    if (table !== null && sections.some((name) => isHtml(table, name))) table = table.parent;
    return table !== null && isHtml(table, "table") ? rowsOf(table).indexOf(record) : -1;
  }
  get sectionRowIndex() {
    const record = recordOf(this);
    return record.parent === null ? -1 : children(record.parent, "tr").indexOf(record);
  }
  get cells() {
    const record = recordOf(this);
    return collection(record, "cells", () => children(record, "td", "th"));
  }
  insertCell(index = -1) {
    const record = recordOf(this);
    return insertAt(record, children(record, "td", "th"), Number(index) | 0, newElement(record.document, "td"));
  }
  deleteCell(index) {
    required(arguments.length, 1, "deleteCell");
    deleteAt(children(recordOf(this), "td", "th"), Number(index) | 0);
  }
}
reflect(HTMLTableRowElement, { align: "string", ch: ["string", "char"], chOff: ["string", "charoff"], vAlign: "string", bgColor: "string" });
idl(HTMLTableRowElement);

export class HTMLTableCellElement extends HTMLElement {
  get cellIndex() {
    const record = recordOf(this);
    return record.parent !== null && isHtml(record.parent, "tr") ? children(record.parent, "td", "th").indexOf(record) : -1;
  }
}
reflect(HTMLTableCellElement, {
  colSpan: ["unsigned long", "colspan", 1], rowSpan: ["unsigned long", "rowspan", 1], headers: "string", abbr: "string", align: "string", axis: "string",
  height: "string", width: "string", ch: ["string", "char"], chOff: ["string", "charoff"], noWrap: "boolean", vAlign: "string", bgColor: "string",
  scope: ["enumerated", "scope", { values: keywords("row", "col", "rowgroup", "colgroup") }],
});
idl(HTMLTableCellElement);

export class HTMLTableColElement extends HTMLElement {}
reflect(HTMLTableColElement, {
  span: ["unsigned long", "span", 1], align: "string", ch: ["string", "char"], chOff: ["string", "charoff"], vAlign: "string", width: "string",
});
idl(HTMLTableColElement);

export class HTMLTableCaptionElement extends HTMLElement {}
reflect(HTMLTableCaptionElement, { align: "string" });
idl(HTMLTableCaptionElement);

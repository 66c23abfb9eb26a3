// CharacterData, Text, CDATASection, ProcessingInstruction and Comment. (DOM.)

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { replaceData, substringData } from "./character_data_steps.js";
import { insert } from "./mutation.js";
import { CDATA_SECTION, isText, newCharacterData, newComment, newText, wrap } from "./nodes.js";
import { Node, recordOf } from "./node.js";
import { currentDocument } from "./home.js";
import { includeChildNode, includeNonDocumentTypeChildNode } from "./mixins.js";

export class CharacterData extends Node {
  get data() { return recordOf(this).data; }
  set data(value) {
    const record = recordOf(this);
    replaceData(record, 0, record.data.length, value === null ? "" : DOMString(value));
  }
  get length() { return recordOf(this).data.length; }
  substringData(offset, count) {
    required(arguments.length, 2, "substringData");
    return substringData(recordOf(this), offset >>> 0, count >>> 0);
  }
  appendData(data) {
    required(arguments.length, 1, "appendData");
    const record = recordOf(this);
    replaceData(record, record.data.length, 0, DOMString(data));
  }
  insertData(offset, data) {
    required(arguments.length, 2, "insertData");
    replaceData(recordOf(this), offset >>> 0, 0, DOMString(data));
  }
  deleteData(offset, count) {
    required(arguments.length, 2, "deleteData");
    replaceData(recordOf(this), offset >>> 0, count >>> 0, "");
  }
  replaceData(offset, count, data) {
    required(arguments.length, 3, "replaceData");
    replaceData(recordOf(this), offset >>> 0, count >>> 0, DOMString(data));
  }
}
includeChildNode(CharacterData);
includeNonDocumentTypeChildNode(CharacterData);
idl(CharacterData);

export class Text extends CharacterData {
  constructor(...args) {
    if (args[0] === HOST) super(...args);
    else super(HOST, newText(currentDocument(), args[0] === undefined ? "" : DOMString(args[0])));
  }
  splitText(offset) {
    required(arguments.length, 1, "splitText");
    const record = recordOf(this);
    offset >>>= 0;
    const rest = substringData(record, offset, record.data.length);
    const added = newCharacterData(record.type, record.document, rest);
    if (record.parent !== null) insert(added, record.parent, record.next);
    replaceData(record, offset, record.data.length, "");
    return wrap(added);
  }
  get wholeText() {
    let first = recordOf(this);
    while (first.previous !== null && isText(first.previous)) first = first.previous;
    let text = "";
    for (let next = first; next !== null && isText(next); next = next.next) text += next.data;
    return text;
  }
}
idl(Text);

export class CDATASection extends Text {
  constructor(...args) { illegal(args[0]); super(...args); }
}
idl(CDATASection);

export class ProcessingInstruction extends CharacterData {
  get target() { return recordOf(this).target; }
}
idl(ProcessingInstruction);

export class Comment extends CharacterData {
  constructor(...args) {
    if (args[0] === HOST) super(...args);
    else super(HOST, newComment(currentDocument(), args[0] === undefined ? "" : DOMString(args[0])));
  }
}
idl(Comment);

export function createCDATASection(document, data) {
  if (document.isHtml) throw errorOf("NotSupportedError", "An HTML document has no CDATA sections");
  if (data.includes("]]>")) throw errorOf("InvalidCharacterError", "The data contains ']]>'");
  return newCharacterData(CDATA_SECTION, document, data);
}


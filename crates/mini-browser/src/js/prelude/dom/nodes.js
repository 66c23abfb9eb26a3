// Nodes as the algorithms see them: plain records, linked to a tree. (DOM, "Nodes".) What scripts see
// of one, its wrapper, is an object of an interface and made when it is first asked for.

export const HTML = "http://www.w3.org/1999/xhtml";
export const MATHML = "http://www.w3.org/1998/Math/MathML";
export const SVG = "http://www.w3.org/2000/svg";
export const XLINK = "http://www.w3.org/1999/xlink";
export const XML = "http://www.w3.org/XML/1998/namespace";
export const XMLNS = "http://www.w3.org/2000/xmlns/";

export const ELEMENT = 1, ATTRIBUTE = 2, TEXT = 3, CDATA_SECTION = 4, PROCESSING_INSTRUCTION = 7, COMMENT = 8, DOCUMENT = 9, DOCUMENT_TYPE = 10,
  DOCUMENT_FRAGMENT = 11;

class NodeRecord {
  constructor(type, document) {
    this.type = type;
    // Its node document.
    this.document = document;
    this.parent = this.first = this.last = this.previous = this.next = null;
    this.wrapper = null;
    // Whether its root is a document; kept up to date by mutation.js.
    this.isConnected = type === DOCUMENT;
    // Its registered observer list.
    this.observers = null;
  }
}

class DocumentRecord extends NodeRecord {
  constructor(options) {
    super(DOCUMENT, null);
    this.document = this;
    const { isHtml = true, contentType = "text/html", url = null, home } = options;
    this.isHtml = isHtml;
    this.contentType = contentType;
    this.encoding = "UTF-8";
    this.mode = "no-quirks";
    // Null for the document of a window, whose URL the window keeps.
    this.url = url;
    // What its realm does for its nodes: see steps.js.
    this.home = home;
    // Whether it is its window's document, or was.
    this.isShown = false;
    // Changes with each change of its tree or attributes.
    this.version = 0;
    this.readyState = "complete";
  }
}

class ElementRecord extends NodeRecord {
  constructor(document, namespace, prefix, localName) {
    super(ELEMENT, document);
    this.namespace = namespace;
    this.prefix = prefix;
    this.localName = localName;
    this.attributes = [];
    // What its interface keeps, by its own names.
    this.own = null;
  }
}

class AttributeRecord extends NodeRecord {
  constructor(document, namespace, prefix, localName, value) {
    super(ATTRIBUTE, document);
    this.namespace = namespace;
    this.prefix = prefix;
    this.localName = localName;
    this.value = value;
    this.element = null;
  }
}

class CharacterDataRecord extends NodeRecord {
  constructor(type, document, data, target = null) {
    super(type, document);
    this.data = data;
    this.target = target;
  }
}

class DocumentTypeRecord extends NodeRecord {
  constructor(document, name, publicId, systemId) {
    super(DOCUMENT_TYPE, document);
    this.name = name;
    this.publicId = publicId;
    this.systemId = systemId;
  }
}

class DocumentFragmentRecord extends NodeRecord {
  constructor(document, host = null) {
    super(DOCUMENT_FRAGMENT, document);
    this.host = host;
  }
}

export const newDocument = (options) => new DocumentRecord(options);
export const newText = (document, data) => new CharacterDataRecord(TEXT, document, data);
export const newComment = (document, data) => new CharacterDataRecord(COMMENT, document, data);
export const newCharacterData = (type, document, data, target) => new CharacterDataRecord(type, document, data, target);
export const newDocumentType = (document, name, publicId, systemId) => new DocumentTypeRecord(document, name, publicId, systemId);
export const newFragment = (document, host = null) => new DocumentFragmentRecord(document, host);
export const newAttribute = (document, namespace, prefix, localName, value) => new AttributeRecord(document, namespace, prefix, localName, value);

// Create an element.
export function newElement(document, localName, namespace = HTML, prefix = null) {
  const element = new ElementRecord(document, namespace, prefix, localName);
  if (localName === "template" && namespace === HTML) element.own = { content: newFragment(inertDocument(document), element) };
  return element;
}

// HTML, "appropriate template contents owner document".
function inertDocument(document) {
  if (document.isInert) return document;
  if (document.inertDocument === undefined) {
    document.inertDocument = newDocument({ isHtml: document.isHtml, contentType: document.contentType, url: "about:blank", home: document.home });
    document.inertDocument.isInert = true;
  }
  return document.inertDocument;
}

// The wrapper of a record: null for none.
export function wrap(record) {
  return record === null ? null : record.wrapper ?? record.document.home.wrap(record);
}

export const isElement = (record) => record.type === ELEMENT;
export const isText = (record) => record.type === TEXT || record.type === CDATA_SECTION;
export const isCharacterData = (record) => record.data !== undefined;
// Whether it is an HTML element of that local name.
export const isHtml = (record, localName) => record.type === ELEMENT && record.localName === localName && record.namespace === HTML;
// What its interface keeps of an element.
export const ownOf = (element) => (element.own ??= {});

export const qualifiedName = ({ prefix, localName }) => (prefix === null ? localName : `${prefix}:${localName}`);

// Tree order and the like.

export function root(record) {
  while (record.parent !== null) record = record.parent;
  return record;
}

export const isConnected = (record) => record.isConnected;

export function isInclusiveAncestor(ancestor, record) {
  for (let next = record; next !== null; next = next.parent) if (next === ancestor) return true;
  return false;
}

// Through the hosts of templates too.
export function isHostIncludingInclusiveAncestor(ancestor, record) {
  for (let next = record; next !== null; next = next.parent ?? next.host ?? null) if (next === ancestor) return true;
  return false;
}

// The next in tree order below `top`, which may be where one starts.
export function following(record, top) {
  if (record.first !== null) return record.first;
  for (let next = record; next !== top && next !== null; next = next.parent) if (next.next !== null) return next.next;
  return null;
}

export function childrenOf(record) {
  const children = [];
  for (let child = record.first; child !== null; child = child.next) children.push(child);
  return children;
}

export function inclusiveDescendants(record) {
  const found = [];
  for (let next = record; next !== null; next = following(next, record)) found.push(next);
  return found;
}

export function firstElementChild(record) {
  let child = record.first;
  while (child !== null && child.type !== ELEMENT) child = child.next;
  return child;
}

export function indexOf(record) {
  let index = 0;
  for (let before = record.previous; before !== null; before = before.previous) index++;
  return index;
}

// Descendant text content.
export function textContent(record) {
  let text = "";
  for (let next = following(record, record); next !== null; next = following(next, record)) if (isText(next)) text += next.data;
  return text;
}

export function childTextContent(record) {
  let text = "";
  for (let child = record.first; child !== null; child = child.next) if (isText(child)) text += child.data;
  return text;
}

// The value of an attribute without a namespace, or null.
export function attribute(element, localName) {
  for (const attribute of element.attributes) if (attribute.localName === localName && attribute.namespace === null) return attribute.value;
  return null;
}

// The first element below a node, in tree order, of which `test` is true; or null.
export function firstElement(top, test) {
  for (let next = following(top, top); next !== null; next = following(next, top)) if (next.type === ELEMENT && test(next)) return next;
  return null;
}

export function elementsBelow(top, test) {
  const found = [];
  for (let next = following(top, top); next !== null; next = following(next, top)) if (next.type === ELEMENT && test(next)) found.push(next);
  return found;
}

// The attributes of elements. (DOM, "Interface Element", its algorithms.)

import { errorOf } from "../webidl.js";
import { queueRecord } from "./mutation_records.js";
import { HTML, XML, XMLNS, newAttribute, qualifiedName } from "./nodes.js";

// Handle attribute changes.
function changes(attribute, element, old, value) {
  queueRecord("attributes", element, { name: attribute.localName, namespace: attribute.namespace, oldValue: old });
  element.document.version++;
  element.document.home.attributeChanged(element, attribute, old, value);
}

// Change an attribute to a value.
export function change(attribute, value) {
  const old = attribute.value;
  attribute.value = value;
  if (attribute.element !== null) changes(attribute, attribute.element, old, value);
}

// Append an attribute to an element.
export function appendAttribute(attribute, element) {
  element.attributes.push(attribute);
  attribute.element = element;
  attribute.document = element.document;
  changes(attribute, element, null, attribute.value);
}

// Remove an attribute.
export function removeAttribute(attribute) {
  const { element } = attribute;
  element.attributes.splice(element.attributes.indexOf(attribute), 1);
  attribute.element = null;
  changes(attribute, element, attribute.value, null);
  return attribute;
}

// Get an attribute by name.
export function byName(element, name) {
  if (element.namespace === HTML && element.document.isHtml) name = lowercase(name);
  return element.attributes.find((attribute) => (attribute.prefix === null ? attribute.localName === name : qualifiedName(attribute) === name)) ?? null;
}

// Get an attribute by namespace and local name.
export function byNamespace(element, namespace, localName) {
  if (namespace === "") namespace = null;
  return element.attributes.find((attribute) => attribute.localName === localName && attribute.namespace === namespace) ?? null;
}

// Set an attribute.
export function setAttribute(attribute, element) {
  if (attribute.element !== null && attribute.element !== element) throw errorOf("InUseAttributeError", "The attribute is another element's");
  const old = byNamespace(element, attribute.namespace, attribute.localName);
  if (old === attribute) return attribute;
  if (old === null) {
    appendAttribute(attribute, element);
    return null;
  }
  // Replace an attribute.
  element.attributes[element.attributes.indexOf(old)] = attribute;
  attribute.element = element;
  attribute.document = element.document;
  old.element = null;
  changes(attribute, element, old.value, attribute.value);
  return old;
}

// Set an attribute value.
export function setValue(element, localName, value, prefix = null, namespace = null) {
  const attribute = byNamespace(element, namespace, localName);
  if (attribute === null) appendAttribute(newAttribute(element.document, namespace, prefix, localName, value), element);
  else change(attribute, value);
}

// Remove an attribute by namespace and local name, if it is there.
export function removeNamed(element, localName, namespace = null) {
  const attribute = byNamespace(element, namespace, localName);
  if (attribute !== null) removeAttribute(attribute);
}

// Names.

const invalidCharacter = (name) => errorOf("InvalidCharacterError", `'${name}' is not a valid name`);

// Valid attribute local name; valid namespace prefix; valid doctype name.
export const isAttributeName = (name) => name !== "" && !/[\t\n\f\r \0/=>]/.test(name);
const isPrefix = (name) => name !== "" && !/[\t\n\f\r \0/>]/.test(name);
export const isDoctypeName = (name) => !/[\t\n\f\r \0>]/.test(name);

// Valid element local name.
export function isElementName(name) {
  if (/^[A-Za-z]/.test(name)) return !/[\t\n\f\r \0/>]/.test(name);
  return /^[:_\u{80}-\u{10FFFF}][-.:_A-Za-z0-9\u{80}-\u{10FFFF}]*$/u.test(name);
}

export function checkAttributeName(name) {
  if (!isAttributeName(name)) throw invalidCharacter(name);
}

export function checkElementName(name) {
  if (!isElementName(name)) throw invalidCharacter(name);
}

// Validate and extract a namespace and qualifiedName.
export function extractName(namespace, name, isForElement) {
  if (namespace === "") namespace = null;
  let prefix = null;
  let localName = name;
  const colon = name.indexOf(":");
  if (colon >= 0) {
    prefix = name.slice(0, colon);
    localName = name.slice(colon + 1);
    if (!isPrefix(prefix)) throw invalidCharacter(name);
  }
  if (isForElement ? !isElementName(localName) : !isAttributeName(localName)) throw invalidCharacter(name);
  const isWrong = (prefix !== null && namespace === null) || (prefix === "xml" && namespace !== XML) ||
    ((name === "xmlns" || prefix === "xmlns") !== (namespace === XMLNS));
  if (isWrong) throw errorOf("NamespaceError", `'${name}' does not belong to that namespace`);
  return { namespace, prefix, localName };
}

// ASCII lowercase.
export const lowercase = (string) => (/[A-Z]/.test(string) ? string.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : string);
export const uppercase = (string) => (/[a-z]/.test(string) ? string.replace(/[a-z]+/g, (letters) => letters.toUpperCase()) : string);

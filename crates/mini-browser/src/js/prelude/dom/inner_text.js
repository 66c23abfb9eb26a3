// innerText. (HTML, "get the text steps".) Nothing is laid out here: how an element is displayed is what the
// standard's style sheet says of its name.

import { ELEMENT, childrenOf, isConnected, isHtml, isText, textContent } from "./nodes.js";

// Elements that are not being rendered.
const NONE = new Set([
  "area", "audio", "base", "basefont", "datalist", "head", "link", "meta", "noembed", "noframes", "param", "rp", "script", "style", "template", "title", "video",
]);
const BLOCK = new Set([
  "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure",
  "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "optgroup",
  "option", "p", "plaintext", "pre", "search", "section", "summary", "table", "caption", "ul", "xmp",
]);
const PREFORMATTED = new Set(["listing", "plaintext", "pre", "textarea", "xmp"]);

export function innerText(element) {
  // Step 1.
  if (!isConnected(element) || !isRendered(element)) return textContent(element);
  // Steps 2 and 3: strings, and required line break counts.
  const items = [];
  for (const child of childrenOf(element)) collect(child, isPreformatted(element), items);
  return joined(items);
}

const nameOf = (record) => (record.type === ELEMENT && isHtml(record, record.localName) ? record.localName : "");
const isHidden = (record) => NONE.has(nameOf(record)) || (record.type === ELEMENT && record.attributes?.some?.((attribute) => attribute.localName === "hidden"));

function isRendered(element) {
  for (let record = element; record !== null; record = record.parent) {
    if (record.type === ELEMENT && isHidden(record)) return false;
  }
  return true;
}

function isPreformatted(element) {
  for (let record = element; record !== null; record = record.parent) {
    if (PREFORMATTED.has(nameOf(record))) return true;
  }
  return false;
}

// Rendered text collection steps.
function collect(node, isPre, items) {
  if (isText(node)) {
    // Step 4: white space collapses, unless it is preformatted.
    items.push(isPre ? { text: node.data, isPre } : { text: node.data.replace(/[\t\n\f\r ]+/g, " "), isPre });
    return;
  }
  if (node.type !== ELEMENT || isHidden(node)) return;
  const name = nameOf(node);
  // Step 5.
  if (name === "br") {
    items.push({ text: "\n", isPre: true });
    return;
  }
  // Steps 8 and 9.
  const breaks = name === "p" ? 2 : BLOCK.has(name) ? 1 : 0;
  if (breaks > 0) items.push({ breaks });
  const inner = isPre || PREFORMATTED.has(name);
  const children = [...childrenOf(node)];
  children.forEach((child, index) => {
    collect(child, inner, items);
    // Steps 6 and 7: between cells, and between rows.
    const isLast = index === children.length - 1;
    if (!isLast && (nameOf(child) === "td" || nameOf(child) === "th")) items.push({ text: "\t", isPre: true });
    if (!isLast && nameOf(child) === "tr") items.push({ text: "\n", isPre: true });
  });
  if (breaks > 0) items.push({ breaks });
}

// Steps 4 to 6: runs of required line breaks become as many line feeds as the greatest asks for.
function joined(items) {
  let text = "";
  let breaks = 0;
  // Whether a space would be at the start of a line, or after another one.
  let isAtSpace = true;
  for (const item of items) {
    if (item.breaks !== undefined) {
      breaks = Math.max(breaks, item.breaks);
      continue;
    }
    let piece = item.text;
    if (!item.isPre && (isAtSpace || breaks > 0)) piece = piece.replace(/^ /, "");
    if (piece === "") continue;
    if (breaks > 0) {
      // The space at the end of the line before is not rendered.
      if (text !== "") text = text.replace(/ $/, "") + "\n".repeat(breaks);
      breaks = 0;
    }
    text += piece;
    isAtSpace = !item.isPre ? piece.endsWith(" ") : piece.endsWith("\n") || piece.endsWith("\t");
  }
  const last = items.findLast((item) => item.text !== undefined && item.text !== "" && item.text !== " ");
  return last?.isPre ? text : text.replace(/ $/, "");
}

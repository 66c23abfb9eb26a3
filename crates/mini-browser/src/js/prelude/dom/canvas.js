// CanvasRenderingContext2D, as far as pixels are read and written: rectangles and images, no paths, text or
// transformations. createImageBitmap(). (HTML, "The 2D rendering context", "ImageBitmap".)

import { DOMString, HOST, errorOf, idl, illegal, required } from "../webidl.js";
import { ImageData, newImageBitmap, pixelsOf } from "./image_data.js";
import { attribute, isHtml, ownOf } from "./nodes.js";
import { recordIfNode } from "./node.js";
import { imageOf } from "./resource_images.js";

// Contexts to { element, canvas, style }.
const contexts = new WeakMap();

function stateOf(context) {
  const state = contexts.get(context);
  if (state === undefined) throw new TypeError("Illegal invocation");
  return state;
}

export class CanvasRenderingContext2D {
  constructor(...args) { illegal(args[0]); }
  get canvas() { return stateOf(this).canvas; }
  get fillStyle() { return stateOf(this).fillStyle; }
  set fillStyle(value) {
    const color = colorOf(String(value));
    if (color !== null) Object.assign(stateOf(this), { fillStyle: serializeColor(color), color });
  }
  fillRect(x, y, width, height) {
    required(arguments.length, 4, "fillRect");
    const { element, color } = stateOf(this);
    paint(bitmapOf(element), x, y, width, height, () => color);
  }
  clearRect(x, y, width, height) {
    required(arguments.length, 4, "clearRect");
    paint(bitmapOf(stateOf(this).element), x, y, width, height, () => [0, 0, 0, 0]);
  }
  createImageData(...args) {
    required(args.length, 1, "createImageData");
    if (args[0] instanceof ImageData) return new ImageData(args[0].width, args[0].height);
    return new ImageData(Math.abs(args[0] | 0), Math.abs(args[1] | 0));
  }
  getImageData(x, y, width, height) {
    required(arguments.length, 4, "getImageData");
    const bitmap = bitmapOf(stateOf(this).element);
    if ((width | 0) === 0 || (height | 0) === 0) throw errorOf("IndexSizeError", "It has no pixels");
    if (!bitmap.isClean) throw errorOf("SecurityError", "The canvas has been tainted by another origin's data");
    const image = new ImageData(Math.abs(width | 0), Math.abs(height | 0));
    const left = (x | 0) + Math.min(width | 0, 0), top = (y | 0) + Math.min(height | 0, 0);
    paint(image, 0, 0, image.width, image.height, (column, row) => pixel(bitmap, left + column, top + row));
    return image;
  }
  putImageData(image, x, y) {
    required(arguments.length, 3, "putImageData");
    if (!(image instanceof ImageData)) throw new TypeError("putImageData: the argument is not an ImageData");
    const left = x | 0, top = y | 0;
    paint(bitmapOf(stateOf(this).element), left, top, image.width, image.height, (column, row) => pixel(image, column - left, row - top));
  }
  drawImage(source, ...args) {
    required(arguments.length, 3, "drawImage");
    const { element } = stateOf(this);
    const pixels = usable(source);
    if (pixels === null) return;
    const bitmap = bitmapOf(element);
    if (!pixels.isClean) bitmap.isClean = false;
    if (pixels.data === null) return;
    const [sx, sy, sw, sh] = args.length >= 8 ? args : [0, 0, pixels.width, pixels.height];
    const [dx, dy, dw = sw, dh = sh] = args.length >= 8 ? args.slice(4) : args;
    paint(bitmap, dx, dy, dw, dh, (column, row) =>
      pixel(pixels, Math.floor(sx + ((column - dx) * sw) / dw), Math.floor(sy + ((row - dy) * sh) / dh)));
  }
}
idl(CanvasRenderingContext2D);

// The 2D context of a canvas.
export function contextOf(element, canvas) {
  const own = ownOf(element);
  if (own.context === undefined) {
    own.context = new CanvasRenderingContext2D(HOST);
    contexts.set(own.context, { element, canvas, fillStyle: "#000000", color: [0, 0, 0, 255] });
  }
  return own.context;
}

const sizeOf = (element, name, fallback) => {
  const match = /^[\t\n\f\r ]*\+?([0-9]+)/.exec(attribute(element, name) ?? "");
  return match === null ? fallback : Math.min(Number(match[1]), 8192);
};

// The bitmap of a canvas: another one when its size changes.
function bitmapOf(element) {
  const own = ownOf(element);
  const width = sizeOf(element, "width", 300), height = sizeOf(element, "height", 150);
  if (own.bitmap?.width !== width || own.bitmap?.height !== height) own.bitmap = { width, height, data: new Uint8ClampedArray(width * height * 4), isClean: true };
  return own.bitmap;
}

function pixel({ data, width, height }, x, y) {
  if (x < 0 || y < 0 || x >= width || y >= height) return [0, 0, 0, 0];
  const at = (y * width + x) * 4;
  return [data[at], data[at + 1], data[at + 2], data[at + 3]];
}

// Sets the pixels of a rectangle, as far as it is inside.
function paint({ data, width, height }, x, y, w, h, colorAt) {
  const [left, right] = [x, x + w].map((edge) => Math.min(Math.max(Math.round(edge), 0), width)).sort((a, b) => a - b);
  const [top, bottom] = [y, y + h].map((edge) => Math.min(Math.max(Math.round(edge), 0), height)).sort((a, b) => a - b);
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) data.set(colorAt(column, row), (row * width + column) * 4);
  }
}

// Check the usability of the image argument: { data, width, height, isClean }, where data are null if
// what is in them is not known; null if nothing is drawn.
function usable(source) {
  const bitmap = pixelsOf(source);
  if (bitmap !== undefined) {
    if (bitmap === null) throw errorOf("InvalidStateError", "The ImageBitmap is detached");
    return bitmap;
  }
  const element = recordIfNode(source);
  if (element !== null && isHtml(element, "canvas")) return bitmapOf(element);
  if (element !== null && isHtml(element, "img")) {
    const { state, width, height, isClean } = imageOf(element);
    if (state === "broken") throw errorOf("InvalidStateError", "The image is broken");
    return state === "completely available" ? { data: null, width, height, isClean } : null;
  }
  if (element !== null && isHtml(element, "video")) return { data: null, width: 0, height: 0, isClean: element.own?.media?.isClean ?? true };
  throw new TypeError("drawImage: the source is not an image");
}

// createImageBitmap(), of what has its pixels at hand.
export async function createImageBitmap(source) {
  required(arguments.length, 1, "createImageBitmap");
  const pixels = source instanceof ImageData ? { data: source.data, width: source.width, height: source.height, isClean: true } : usable(source);
  if (pixels === null || pixels.width === 0 || pixels.height === 0) throw errorOf("InvalidStateError", "The source has no pixels");
  const { width, height, isClean } = pixels;
  const data = pixels.data === null ? new Uint8ClampedArray(width * height * 4) : Uint8ClampedArray.from(pixels.data);
  return newImageBitmap({ data, width, height, isClean });
}

const NAMED = {
  black: "#000000", white: "#ffffff", red: "#ff0000", green: "#008000", lime: "#00ff00", blue: "#0000ff", gray: "#808080", grey: "#808080", yellow: "#ffff00",
  orange: "#ffa500", purple: "#800080", silver: "#c0c0c0", navy: "#000080", aqua: "#00ffff", cyan: "#00ffff", fuchsia: "#ff00ff", magenta: "#ff00ff",
  maroon: "#800000", olive: "#808000", teal: "#008080", transparent: "#00000000",
};

// A color as [red, green, blue, alpha]; null if it is none that is known.
export function colorOf(text) {
  const keyword = DOMString(text).trim().toLowerCase();
  const value = Object.hasOwn(NAMED, keyword) ? NAMED[keyword] : keyword;
  const hex = /^#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/.exec(value)?.[1];
  if (hex !== undefined) {
    const digits = hex.length < 6 ? [...hex].map((digit) => digit + digit).join("") : hex;
    return [0, 2, 4, 6].map((at) => (at < digits.length ? Number.parseInt(digits.slice(at, at + 2), 16) : 255));
  }
  const parts = /^rgba?\(\s*([\d.]+)[\s,]+([\d.]+)[\s,]+([\d.]+)(?:[\s,/]+([\d.]+))?\s*\)$/.exec(value);
  return parts === null ? null : [Number(parts[1]), Number(parts[2]), Number(parts[3]), Math.round(Number(parts[4] ?? 1) * 255)];
}

function serializeColor([red, green, blue, alpha]) {
  if (alpha < 255) return `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
  return `#${[red, green, blue].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
}

// A color as computed values have it.
export function serializeComputed([red, green, blue, alpha]) {
  return alpha < 255 ? `rgba(${red}, ${green}, ${blue}, ${Number((alpha / 255).toFixed(3))})` : `rgb(${red}, ${green}, ${blue})`;
}

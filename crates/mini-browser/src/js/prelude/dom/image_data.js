// ImageData and ImageBitmap. (HTML, "ImageData", "ImageBitmap".)

import { serializable, transferable } from "../serializable.js";
import { HOST, dictionary, enumeration, errorOf, idl, illegal, required } from "../webidl.js";

const LARGEST = 1 << 28;

export class ImageData {
  #data;
  #width;
  #height;
  #colorSpace = "srgb";
  constructor(...args) {
    required(args.length, 2, "ImageData");
    const isArray = args[0] instanceof Uint8ClampedArray;
    const [width, height, settings] = isArray ? args.slice(1) : args;
    this.#width = Number(width) >>> 0;
    if (isArray) {
      // new ImageData(data, sw, sh)
      const { length } = args[0];
      if (length === 0 || length % 4 !== 0) throw errorOf("InvalidStateError", "The length is not that of pixels");
      if (this.#width === 0 || (length / 4) % this.#width !== 0) throw errorOf("IndexSizeError", "The width is not that of the data");
      this.#height = length / 4 / this.#width;
      if (height !== undefined && Number(height) >>> 0 !== this.#height) throw errorOf("IndexSizeError", "The height is not that of the data");
      [this.#data] = args;
    } else {
      this.#height = Number(height) >>> 0;
      if (this.#width === 0 || this.#height === 0) throw errorOf("IndexSizeError", "It has no pixels");
      if (this.#width * this.#height > LARGEST) throw new RangeError("The image is too large");
      this.#data = new Uint8ClampedArray(this.#width * this.#height * 4);
    }
    const { colorSpace } = dictionary(settings, "The settings of ImageData");
    if (colorSpace !== undefined) this.#colorSpace = enumeration(colorSpace, ["srgb", "display-p3"], "The color space");
  }
  get width() { return this.#width; }
  get height() { return this.#height; }
  get data() { return this.#data; }
  get colorSpace() { return this.#colorSpace; }
  static {
    serializable(this, "ImageData", {
      is: (value) => #data in value,
      serialize: (image) => ({ data: image.#data, width: image.#width, height: image.#height }),
      deserialize: ({ data, width, height }) => new ImageData(data, width, height),
    });
  }
}
idl(ImageData);

let pixelsIn;

export class ImageBitmap {
  // { data, width, height, isClean }; null once it is closed or transferred.
  #pixels;
  #isDetached = false;
  constructor(...args) {
    illegal(args[0]);
    [, this.#pixels] = args;
  }
  get width() { return this.#pixels?.width ?? 0; }
  get height() { return this.#pixels?.height ?? 0; }
  close() {
    this.#pixels = null;
    this.#isDetached = true;
  }
  static {
    pixelsIn = (value) => (typeof value === "object" && value !== null && #pixels in value ? value.#pixels : undefined);
    const is = (value) => #pixels in value;
    const receive = (pixels) => new ImageBitmap(HOST, pixels);
    serializable(this, "ImageBitmap", {
      is,
      serialize(bitmap) {
        if (bitmap.#isDetached || !bitmap.#pixels.isClean) throw errorOf("DataCloneError", "The ImageBitmap cannot be cloned");
        return bitmap.#pixels;
      },
      deserialize: receive,
    });
    transferable(this, "ImageBitmap", {
      is,
      detached: (bitmap) => bitmap.#isDetached,
      transfer(bitmap) {
        const pixels = bitmap.#pixels;
        bitmap.close();
        return pixels;
      },
      receive,
    });
  }
}
idl(ImageBitmap);

// The pixels of an ImageBitmap; null if it is closed, undefined for anything else.
export const pixelsOf = (value) => pixelsIn(value);

export const newImageBitmap = (pixels) => new ImageBitmap(HOST, pixels);

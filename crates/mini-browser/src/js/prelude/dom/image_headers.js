// The size of an image, from the first bytes of its file.

// { width, height } of a PNG, GIF, JPEG, WebP, BMP or SVG; null for anything else.
export function dimensionsOf(bytes, contentType) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts = (...start) => start.every((byte, index) => bytes[index] === byte);
  try {
    if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return { width: view.getUint32(16), height: view.getUint32(20) };
    if (starts(0x47, 0x49, 0x46, 0x38)) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (starts(0xff, 0xd8, 0xff)) return ofJpeg(view);
    if (starts(0x52, 0x49, 0x46, 0x46) && view.getUint32(8) === 0x57454250) return ofWebP(view);
    if (starts(0x42, 0x4d)) return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
    if (starts(0, 0, 1, 0)) return { width: bytes[6] || 256, height: bytes[7] || 256 };
  } catch (error) {
    // The file ends before it says its size.
    if (error instanceof RangeError) return null;
    throw error;
  }
  return /^image\/svg\+xml/i.test(contentType ?? "") ? ofSvg(bytes) : null;
}

// The frame header of a JPEG.
function ofJpeg(view) {
  for (let at = 2; ;) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += 2 + (marker === 0xff ? -1 : view.getUint16(at + 2));
  }
}

function ofWebP(view) {
  switch (view.getUint32(12)) {
    case 0x56503820: return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    case 0x5650384c: {
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    default: return { width: (view.getUint32(24, true) & 0xffffff) + 1, height: (view.getUint32(26, true) >>> 8 & 0xffffff) + 1 };
  }
}

function ofSvg(bytes) {
  let text = "";
  for (const byte of bytes.subarray(0, 4096)) text += String.fromCharCode(byte);
  const root = /<svg[\s>][^>]*/.exec(text);
  if (root === null) return null;
  const length = (name) => {
    const match = new RegExp(`\\s${name}\\s*=\\s*["']\\s*([0-9.]+)(?:px)?\\s*["']`).exec(root[0]);
    return match === null ? null : Math.round(Number(match[1]));
  };
  const box = /\sviewBox\s*=\s*["']\s*[-0-9.]+[\s,]+[-0-9.]+[\s,]+([0-9.]+)[\s,]+([0-9.]+)/.exec(root[0]);
  return { width: length("width") ?? (box === null ? 300 : Math.round(Number(box[1]))), height: length("height") ?? (box === null ? 150 : Math.round(Number(box[2]))) };
}

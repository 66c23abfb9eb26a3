// The encoding of a document. (HTML, "Determining the character encoding".)

import { op_decoder_decode, op_decoder_open } from "ops";

// Decodes a document as its bytes come.
export function documentText(document, charset) {
  const id = op_decoder_open(charset);
  const decode = (bytes, isLast) => {
    const [text, encoding] = op_decoder_decode(id, bytes, isLast);
    if (encoding !== null && encoding !== undefined) document.encoding = encoding;
    return text;
  };
  return { decode: (bytes) => decode(bytes, false), end: () => decode(new Uint8Array(0), true) };
}

// Standard base64 with padding (RFC 4648, section 4), for code that may use neither Buffer nor btoa.

const ALPHABET = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PADDING = 0x3d;

export function encodeBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(4 * Math.ceil(bytes.length / 3)).fill(PADDING);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 3) {
    const first = bytes[at] ?? 0;
    const second = bytes[at + 1];
    const third = bytes[at + 2];
    text[to] = digit(first >> 2);
    text[to + 1] = digit(((first & 3) << 4) | ((second ?? 0) >> 4));
    if (second !== undefined) text[to + 2] = digit(((second & 15) << 2) | ((third ?? 0) >> 6));
    if (third !== undefined) text[to + 3] = digit(third & 63);
    to += 4;
  }
  return new TextDecoder('utf-8').decode(text);
}

function digit(value: number): number {
  return ALPHABET[value] ?? PADDING;
}

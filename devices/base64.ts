// Standard base64 with padding (RFC 4648, section 4), for code that may use neither Buffer nor btoa.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const first = bytes[at] ?? 0;
    const second = bytes[at + 1];
    const third = bytes[at + 2];
    text += digit(first >> 2) + digit(((first & 3) << 4) | ((second ?? 0) >> 4));
    text += second === undefined ? '=' : digit(((second & 15) << 2) | ((third ?? 0) >> 6));
    text += third === undefined ? '=' : digit(third & 63);
  }
  return text;
}

function digit(value: number): string {
  return ALPHABET.charAt(value);
}

// DER (ITU-T X.690), as much of it as a certificate needs.

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;
const CONTEXT_PRIMITIVE = 0x80;
const CONTEXT_CONSTRUCTED = 0xa0;
/** RFC 5280, 4.1.2.5: years from here on have four digits. */
const FOUR_DIGITS_FROM_YEAR = 2050;

export const der = {
  sequence: (...parts: readonly Uint8Array[]): Buffer => element(TAG.sequence, Buffer.concat(parts)),
  set: (...parts: readonly Uint8Array[]): Buffer => element(TAG.set, Buffer.concat(parts)),
  true: (): Buffer => element(TAG.boolean, Buffer.of(0xff)),
  /** Of a positive number, its bytes the highest first. */
  integer: (bytes: Uint8Array): Buffer =>
    element(TAG.integer, (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.of(0), bytes])),
  octets: (bytes: Uint8Array): Buffer => element(TAG.octets, bytes),
  /** Whose last `unused` bits mean nothing. */
  bits: (bytes: Uint8Array, unused = 0): Buffer =>
    element(TAG.bits, Buffer.concat([Buffer.of(unused), bytes])),
  text: (text: string): Buffer => element(TAG.utf8, Buffer.from(text)),
  /** Of a dotted number, e.g. `2.5.4.3`. */
  objectId: (dotted: string): Buffer => {
    const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
    return element(TAG.objectId, Buffer.from([40 * first + second, ...rest.flatMap(base128)]));
  },
  time: (ms: number): Buffer => {
    const date = new Date(ms);
    const text = `${date.toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`;
    if (date.getUTCFullYear() >= FOUR_DIGITS_FROM_YEAR)
      return element(TAG.generalizedTime, Buffer.from(text, 'latin1'));
    return element(TAG.utcTime, Buffer.from(text.slice(2), 'latin1'));
  },
  /** A part that its number tells from others; implicit. */
  context: (number: number, bytes: Uint8Array): Buffer => element(CONTEXT_PRIMITIVE | number, bytes),
  /** The same around a whole element; explicit. */
  around: (number: number, inner: Uint8Array): Buffer => element(CONTEXT_CONSTRUCTED | number, inner),
};

function element(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  if (length < 0x100) return Buffer.of(0x81, length);
  return Buffer.of(0x82, length >> 8, length & 0xff);
}

function base128(number: number): number[] {
  const digits = [number & 0x7f];
  for (let rest = number >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

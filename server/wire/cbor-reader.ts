// Reads the CBOR of request bodies (RFC 8949), strictly and within bounds: what comes here is not signed yet.
import { isUtf8 } from 'node:buffer';

/** Far deeper than any input of a service. */
const DEPTH_MAX = 64;
/** Values, keys and tags of one body: an empty list takes one byte here and dozens in memory. */
const ITEMS_MAX = 100_000;
/** Lengths that stand in the head itself. */
const SHORT_BYTES_MAX = 23;
const BREAK = 0xff;
const INDEFINITE = 31;
const TWO_32 = 2 ** 32;

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, tag: 6, simple: 7 } as const;

export class MalformedCbor extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MalformedCbor';
  }
}

/**
 * The one value of the bytes: maps with text keys are objects that have the keys as their own, byte strings parts of the
 * buffer, numbers beyond 2^53 rounded, tags left out. Throws MalformedCbor, also for a key twice and for anything behind the value.
 */
export function readCbor(bytes: Uint8Array): unknown {
  const reader = new CborReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const value = reader.value(0);
  reader.end();
  return value;
}

class CborReader {
  readonly #bytes: Buffer;
  #at = 0;
  #items = 0;
  /** By length. */
  readonly #keys: { readonly start: number; readonly text: string }[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedCbor('bytes follow the value');
  }

  value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new MalformedCbor(`nested deeper than ${DEPTH_MAX}`);
    let head = this.#head();
    while (head >> 5 === MAJOR.tag) {
      this.#argument(head);
      head = this.#head();
    }
    switch (head >> 5) {
      case MAJOR.unsigned:
        return this.#argument(head);
      case MAJOR.negative:
        return -1 - this.#argument(head);
      case MAJOR.bytes:
        return this.#byteString(head);
      case MAJOR.text:
        return this.#text(head);
      case MAJOR.list:
        return this.#list(head, depth + 1);
      case MAJOR.map:
        return this.#map(head, depth + 1);
      default:
        return this.#simple(head);
    }
  }

  #list(head: number, depth: number): unknown[] {
    const list: unknown[] = [];
    if ((head & 31) === INDEFINITE) {
      while (!this.#takeBreak()) list.push(this.value(depth));
      return list;
    }
    const count = this.#count(head, 1);
    for (let index = 0; index < count; index += 1) list.push(this.value(depth));
    return list;
  }

  #map(head: number, depth: number): object {
    const map = {} as Record<string, unknown>;
    if ((head & 31) === INDEFINITE) {
      while (!this.#takeBreak()) this.#entry(map, depth);
      return map;
    }
    const count = this.#count(head, 2);
    for (let index = 0; index < count; index += 1) this.#entry(map, depth);
    return map;
  }

  #entry(map: Record<string, unknown>, depth: number): void {
    const head = this.#head();
    if (head >> 5 !== MAJOR.text) throw new MalformedCbor('keys are text');
    const key = this.#key(head);
    if (Object.hasOwn(map, key)) throw new MalformedCbor('a key stands twice in a map');
    const value = this.value(depth);
    if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true });
    else map[key] = value;
  }

  /** Elements of a list have the same keys: the last one of the same length is tried first. */
  #key(head: number): string {
    const length = head & 31;
    if (length > SHORT_BYTES_MAX) return this.#text(head);
    const start = this.#at;
    const known = this.#keys[length];
    if (known !== undefined && this.#repeats(known.start, length)) {
      this.#at += length;
      return known.text;
    }
    const text = this.#text(head);
    this.#keys[length] = { start, text };
    return text;
  }

  /** The next bytes are those at an earlier place. */
  #repeats(start: number, length: number): boolean {
    for (let offset = 0; offset < length; offset += 1) {
      if (this.#bytes[start + offset] !== this.#bytes[this.#at + offset]) return false;
    }
    return true;
  }

  #byteString(head: number): Uint8Array {
    if ((head & 31) !== INDEFINITE) return this.#take(this.#count(head, 1));
    return Buffer.concat(this.#chunks(MAJOR.bytes));
  }

  #text(head: number): string {
    if ((head & 31) !== INDEFINITE) return this.#utf8(this.#count(head, 1));
    return this.#chunks(MAJOR.text).map(textOf).join('');
  }

  /** The parts of a string whose length was not known when it began: definite strings of the same kind. */
  #chunks(major: number): Buffer[] {
    const chunks: Buffer[] = [];
    while (!this.#takeBreak()) {
      const head = this.#head();
      if (head >> 5 !== major) throw new MalformedCbor('a string is made of strings of its kind');
      chunks.push(this.#take(this.#count(head, 1)));
    }
    return chunks;
  }

  #simple(head: number): unknown {
    switch (head & 31) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
      case 23:
        return null;
      case 25:
        return halfFloat(this.#take(2).readUInt16BE());
      case 26:
        return this.#take(4).readFloatBE();
      case 27:
        return this.#take(8).readDoubleBE();
      default:
        throw new MalformedCbor('unknown simple value');
    }
  }

  #head(): number {
    this.#items += 1;
    if (this.#items > ITEMS_MAX) throw new MalformedCbor(`more than ${ITEMS_MAX} items`);
    const head = this.#bytes[this.#at];
    if (head === undefined) throw truncated();
    this.#at += 1;
    return head;
  }

  #argument(head: number): number {
    const info = head & 31;
    if (info < 24) return info;
    switch (info) {
      case 24:
        return this.#take(1).readUInt8();
      case 25:
        return this.#take(2).readUInt16BE();
      case 26:
        return this.#take(4).readUInt32BE();
      case 27: {
        const bytes = this.#take(8);
        return bytes.readUInt32BE(0) * TWO_32 + bytes.readUInt32BE(4);
      }
      default:
        throw new MalformedCbor('a number has no such length');
    }
  }

  /** A length: never more than the bytes that are left could hold. */
  #count(head: number, bytesEach: number): number {
    const count = this.#argument(head);
    if (count * bytesEach > this.#bytes.length - this.#at) throw truncated();
    return count;
  }

  #takeBreak(): boolean {
    if (this.#bytes[this.#at] !== BREAK) return false;
    this.#at += 1;
    return true;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw truncated();
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** Most texts are right: only one that came out with a replacement character is looked at again. */
  #utf8(length: number): string {
    const start = this.#at;
    this.#at += length;
    const text = this.#bytes.toString('utf8', start, this.#at);
    return text.includes('\ufffd') ? textOf(this.#bytes.subarray(start, this.#at)) : text;
  }
}

function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new MalformedCbor('text is no UTF-8');
  return bytes.toString('utf8');
}

function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function truncated(): MalformedCbor {
  return new MalformedCbor('the bytes end within the value');
}

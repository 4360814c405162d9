// Writes CBOR (RFC 8949) in definite lengths into one growing buffer.

const START_BYTES = 1024;
const TWO_32 = 2 ** 32;
const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, tag: 6 } as const;
const FALSE = 0xf4;
const NULL = 0xf6;
const DOUBLE = 0xfb;
const TIMESTAMP_TAG = 1;
/** A head: kind, length of the argument, argument. */
const HEAD_BYTES_MAX = 9;
/** UTF-8 takes at most this for one UTF-16 unit. */
const BYTES_PER_UNIT_MAX = 3;

export class CborWriter {
  #bytes = Buffer.allocUnsafe(START_BYTES);
  #length = 0;

  /** What was written; the writer is done. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** `count` pairs of key and value follow. */
  map(count: number): void {
    this.#head(MAJOR.map, count);
  }

  /** `count` values follow. */
  list(count: number): void {
    this.#head(MAJOR.list, count);
  }

  text(text: string): void {
    this.#head(MAJOR.text, Buffer.byteLength(text));
    this.#room(text.length * BYTES_PER_UNIT_MAX);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }

  bytes(bytes: Uint8Array): void {
    this.#head(MAJOR.bytes, bytes.length);
    this.raw(bytes);
  }

  /** Bytes that are CBOR already. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  number(value: number): void {
    if (!Number.isSafeInteger(value)) this.#double(value);
    else if (value >= 0) this.#head(MAJOR.unsigned, value);
    else this.#head(MAJOR.negative, -1 - value);
  }

  /** Milliseconds since 1970 under tag 1, which is what the SDKs for Java read (and not what the RFC says of tag 1). */
  timestampMs(ms: number): void {
    this.#head(MAJOR.tag, TIMESTAMP_TAG);
    this.number(Math.round(ms));
  }

  boolean(value: boolean): void {
    this.#byte(FALSE + Number(value));
  }

  null(): void {
    this.#byte(NULL);
  }

  #double(value: number): void {
    this.#byte(DOUBLE);
    this.#room(8);
    this.#length = this.#bytes.writeDoubleBE(value, this.#length);
  }

  #byte(byte: number): void {
    this.#room(1);
    this.#bytes[this.#length] = byte;
    this.#length += 1;
  }

  #head(major: number, argument: number): void {
    this.#room(HEAD_BYTES_MAX);
    const kind = major << 5;
    const bytes = this.#bytes;
    if (argument < 24) {
      bytes[this.#length] = kind | argument;
      this.#length += 1;
    } else if (argument < 0x100) {
      bytes[this.#length] = kind | 24;
      this.#length = bytes.writeUInt8(argument, this.#length + 1);
    } else if (argument < 0x10000) {
      bytes[this.#length] = kind | 25;
      this.#length = bytes.writeUInt16BE(argument, this.#length + 1);
    } else if (argument < TWO_32) {
      bytes[this.#length] = kind | 26;
      this.#length = bytes.writeUInt32BE(argument, this.#length + 1);
    } else {
      bytes[this.#length] = kind | 27;
      bytes.writeUInt32BE(Math.floor(argument / TWO_32), this.#length + 1);
      this.#length = bytes.writeUInt32BE(argument % TWO_32, this.#length + 5);
    }
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

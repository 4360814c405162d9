// Unsigned LEB128 numbers (at most 53 bits) and zigzag for signed ones, as the block's body uses them.
import { TributaryError } from './errors.ts';

/** A cursor over a body; every read is bounds-checked and throws BLOCK_MALFORMED. */
export class BodyReader {
  readonly bytes: Uint8Array;
  offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    // Plain: views of a subclass, as Node's buffers are, cost twice as much.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = offset;
  }

  varint(): number {
    const first = this.bytes[this.offset];
    if (first !== undefined && first < 0x80) {
      this.offset += 1;
      return first;
    }
    let value = 0;
    let scale = 1;
    for (let read = 0; read < 8; read += 1) {
      const byte = this.bytes[this.offset];
      if (byte === undefined) throw truncated(this.offset);
      this.offset += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return safe(value, this.offset);
      scale *= 128;
    }
    throw new TributaryError('BLOCK_MALFORMED', `a number before byte ${this.offset} is longer than 8 bytes`);
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** A view of the next `length` bytes, not a copy. */
  view(length: number): Uint8Array {
    const end = this.offset + length;
    if (end > this.bytes.length) throw truncated(this.offset);
    const view = new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.offset, length);
    this.offset = end;
    return view;
  }

  get atEnd(): boolean {
    return this.offset === this.bytes.length;
  }
}

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Writes at `offset` and returns the offset behind it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 128) {
    target[at] = (rest % 128) | 0x80;
    at += 1;
    rest = Math.floor(rest / 128);
  }
  target[at] = rest;
  return at + 1;
}

export function toZigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}

function safe(value: number, offset: number): number {
  if (value <= Number.MAX_SAFE_INTEGER) return value;
  throw new TributaryError('BLOCK_MALFORMED', `a number before byte ${offset} exceeds 2^53 - 1`);
}

function truncated(offset: number): TributaryError {
  return new TributaryError('BLOCK_MALFORMED', `the body ends in the middle of a record at byte ${offset}`);
}

// Goal: an entry of the map is what was written, or is told as damaged. Method: one entry with each of its bits flipped, and
// one as earlier programs wrote it.
import { describe, expect, it } from 'vitest';
import { isTributaryError } from '../../stream/errors.ts';
import { entryOfRow, decodeEntry, encodeEntry, storedKey } from '../../storage/meta-entry.ts';

const VALUE = Buffer.from('{"base":"0"}');
const ENTRY = { key: 'lane/telemetry', value: VALUE, revision: 258n };

function outcome(read: () => unknown): string {
  try {
    read();
    return 'read';
  } catch (error) {
    return isTributaryError(error) ? error.code : String(error);
  }
}

describe('an entry of the map', () => {
  it('is read as it was written', () => {
    expect(decodeEntry(encodeEntry(ENTRY.key, VALUE, ENTRY.revision))).toEqual(ENTRY);
  });

  it('is told as damaged whichever bit of it is another one, or when its end is missing', () => {
    const whole = encodeEntry(ENTRY.key, VALUE, ENTRY.revision);
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const flipped = Uint8Array.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(
        outcome(() => decodeEntry(flipped)),
        `bit ${bit}`,
      ).toBe('STORAGE_FAILED');
    }
    for (let length = 0; length < whole.length; length += 1)
      expect(
        outcome(() => decodeEntry(whole.subarray(0, length))),
        `${length} bytes`,
      ).toBe('STORAGE_FAILED');
  });

  it('is read as programs wrote it that had no checksum', () => {
    const old = Buffer.concat([Buffer.alloc(10), Buffer.from(ENTRY.key), VALUE]);
    old.writeBigUInt64BE(ENTRY.revision);
    old.writeUInt16BE(ENTRY.key.length, 8);
    expect(decodeEntry(old)).toEqual(ENTRY);
    old.writeUInt16BE(VALUE.length + ENTRY.key.length + 1, 8);
    expect(outcome(() => decodeEntry(old))).toBe('STORAGE_FAILED');
  });

  it('is told as damaged under the key of another', () => {
    const whole = encodeEntry(ENTRY.key, VALUE, ENTRY.revision);
    expect(entryOfRow(storedKey(ENTRY.key), whole)).toEqual(ENTRY);
    expect(outcome(() => entryOfRow(storedKey('lane/telemetrx'), whole))).toBe('STORAGE_FAILED');
  });
});

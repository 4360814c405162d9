// Goal: a block gives back what went in, from any record on, and refuses whatever lies. Method: encode, damage, decode.
import { describe, expect, it } from 'vitest';
import { canMerge, mergeBlocks, sliceBlock } from '../../stream/block-cut.ts';
import { parseHeader } from '../../stream/block-header.ts';
import { checkBlock, decodeBlock } from '../../stream/block.ts';
import { BLOCK_BYTES_MAX, RECORD_BYTES_MAX } from '../../stream/limits.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { blockOf, numberedRecords, record } from '../blocks.ts';

const decode = (block: Uint8Array, from?: number, count?: number) =>
  decodeBlock(block, nodeDigest, [], from, count).records;

/** The block with bytes changed and the checksum made right again: what a liar would send. */
function forged(block: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = block.slice();
  const view = new DataView(copy.buffer);
  change(view);
  view.setUint32(4, nodeDigest.crc32(copy.subarray(8)), true);
  return copy;
}

describe('block', () => {
  it('reads from mid-block', () => {
    const records = numberedRecords(100);
    expect(decode(blockOf(records), 40, 10)).toEqual(records.slice(40, 50));
  });

  it('keeps empty data, 256-character keys and times that go backward', () => {
    const records = [record('k'.repeat(256), '', 5_000_000n), record('é', 'x', 4_000_000n)];
    expect(decode(blockOf(records))).toEqual(records);
  });

  it('holds one record of the largest size, and refuses a larger one', () => {
    const largest = { partitionKey: 'k', data: new Uint8Array(RECORD_BYTES_MAX), monotonicUs: 1n };
    expect(decode(blockOf([largest]))[0]?.data.length).toBe(RECORD_BYTES_MAX);
    const larger = { ...largest, data: new Uint8Array(RECORD_BYTES_MAX + 1) };
    expect(() => blockOf([larger])).toThrow(expect.objectContaining({ code: 'RECORD_TOO_LARGE' }));
  });

  it('refuses several records above the block bound', () => {
    const half = { partitionKey: 'k', data: new Uint8Array(BLOCK_BYTES_MAX / 2), monotonicUs: 1n };
    expect(() => blockOf([half, half])).toThrow(expect.objectContaining({ code: 'BLOCK_TOO_LARGE' }));
  });

  it('detects every single flipped bit', () => {
    const block = blockOf(numberedRecords(3));
    for (let bit = 0; bit < block.length * 8; bit += 1) {
      const flipped = block.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => checkBlock(flipped, nodeDigest), `bit ${bit}`).toThrow();
    }
  });

  it('refuses headers that lie though the checksum is right', () => {
    const block = blockOf(numberedRecords(3));
    const lies: [string, (view: DataView) => void][] = [
      ['more records', (view) => view.setUint16(20, 4, true)],
      ['fewer records', (view) => view.setUint16(20, 2, true)],
      ['no records', (view) => view.setUint16(20, 0, true)],
      ['another length', (view) => view.setUint32(12, block.length + 1, true)],
      ['another raw length', (view) => view.setUint32(16, 1, true)],
      ['an unknown version', (view) => view.setUint8(8, 2)],
      ['an unknown class', (view) => view.setUint8(11, 3)],
      ['reserved flags', (view) => view.setUint8(10, 1)],
      ['ordinals at the end of time', (view) => view.setBigUint64(24, 2n ** 63n - 2n, true)],
    ];
    for (const [name, lie] of lies) {
      expect(() => decode(forged(block, lie)), name).toThrow(
        expect.objectContaining({ code: 'BLOCK_MALFORMED' }),
      );
    }
    expect(() => decode(forged(block, (view) => view.setUint8(9, 9)))).toThrow(
      expect.objectContaining({ code: 'CODEC_UNKNOWN' }),
    );
  });

  it('merges neighbours of one run and slices what is still lacking', () => {
    const records = numberedRecords(10);
    const first = blockOf(records.slice(0, 4), { firstOrdinal: 7n });
    const second = blockOf(records.slice(4), { firstOrdinal: 11n });
    expect(canMerge(parseHeader(first), parseHeader(second))).toBe(true);
    const merged = mergeBlocks([first, second], nodeDigest);
    expect(decode(merged)).toEqual(records);
    const rest = sliceBlock(merged, 6, nodeDigest);
    expect(parseHeader(rest).firstOrdinal).toBe(13n);
    expect(decode(rest)).toEqual(records.slice(6));
  });

  it('does not merge across a gap, a class or a run', () => {
    const records = numberedRecords(2);
    const header = parseHeader(blockOf(records, { firstOrdinal: 1n }));
    const next = (frame: object) => parseHeader(blockOf(records, { firstOrdinal: 3n, ...frame }));
    expect(canMerge(header, next({}))).toBe(true);
    expect(canMerge(header, next({ firstOrdinal: 4n }))).toBe(false);
    expect(canMerge(header, next({ class: 'alarm' }))).toBe(false);
    expect(canMerge(header, next({ blockId: new Uint8Array(16) }))).toBe(false);
  });
});

// Goal: no sequence of operations breaks an invariant of the core. Method: generated inputs; a failure prints its seed.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeBlocks, sliceBlock } from '../../stream/block-cut.ts';
import { decodeBlock, encodeBlock } from '../../stream/block.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { HASH_KEY_MAX, hashKeyOf, toHashText } from '../../stream/hash-range.ts';
import { toPosition } from '../../stream/position.ts';
import {
  formatSequenceNumber,
  parseSequenceNumber,
  sequenceNumbersOf,
} from '../../stream/sequence-number.ts';
import {
  assertCovered,
  createShardMap,
  mergeShards,
  openShards,
  shardFor,
  splitShard,
} from '../../stream/shard-map.ts';
import type { ShardMap } from '../../stream/shard-map.ts';
import { codecFor, nodeCodecs } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { FRAME, blockOf } from '../blocks.ts';

const timedRecord = fc.record({
  partitionKey: fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .filter((key) => key.length <= 256),
  data: fc.uint8Array({ maxLength: 200 }),
  monotonicUs: fc.bigInt({ min: 0n, max: 2n ** 50n }),
});
const records = fc.array(timedRecord, { minLength: 1, maxLength: 50 });
const bytes = (data: Uint8Array) => Buffer.from(data).toString('hex');
const plain = (list: readonly { partitionKey: string; data: Uint8Array; monotonicUs: bigint }[]) =>
  list.map((one) => [one.partitionKey, bytes(one.data), one.monotonicUs]);

describe('block', () => {
  it('gives back what went in, from any record on', () => {
    fc.assert(
      fc.property(records, fc.nat(), (list, seed) => {
        const index = seed % list.length;
        const block = blockOf(list);
        expect(plain(decodeBlock(block, nodeDigest, [], index).records)).toEqual(plain(list.slice(index)));
        expect(plain(decodeBlock(sliceBlock(block, index, nodeDigest), nodeDigest).records)).toEqual(
          plain(list.slice(index)),
        );
      }),
    );
  });

  it('gives back what went in, whatever it is compressed with, merged, sliced and read from', () => {
    const cuts = fc.array(fc.nat(), { minLength: 1, maxLength: 4 });
    const codec = fc.constantFrom(undefined, ...nodeCodecs);
    fc.assert(
      fc.property(records, fc.nat(9), cuts, codec, codec, (few, repeats, at, before, after) => {
        const list = Array.from({ length: repeats + 1 }, () => few).flat();
        const edges = [...new Set([0, ...at.map((cut) => cut % list.length), list.length])].toSorted(
          (a, b) => a - b,
        );
        const parts = edges.slice(1).map((end, index) => {
          const first = edges[index] ?? 0;
          const frame = { ...FRAME, firstOrdinal: BigInt(first + 1) };
          return encodeBlock(frame, list.slice(first, end), nodeDigest, before);
        });
        const merged = mergeBlocks(parts, nodeDigest, { from: nodeCodecs, to: after });
        expect(plain(decodeBlock(merged, nodeDigest, nodeCodecs).records)).toEqual(plain(list));
        const index = (at[0] ?? 0) % list.length;
        expect(plain(decodeBlock(merged, nodeDigest, nodeCodecs, index).records)).toEqual(
          plain(list.slice(index)),
        );
        const rest = sliceBlock(merged, index, nodeDigest, nodeCodecs);
        expect(plain(decodeBlock(rest, nodeDigest, nodeCodecs).records)).toEqual(plain(list.slice(index)));
      }),
    );
  });

  it('answers hostile bytes with a coded error, whatever the checksum says', () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(records, edits, fc.nat(), fc.boolean(), (list, changes, cut, isCompressed) => {
        const many = isCompressed ? Array.from({ length: 5 }, () => list).flat() : list;
        const block = encodeBlock(FRAME, many, nodeDigest, isCompressed ? codecFor('auto') : undefined);
        for (const [at, value] of changes) block[8 + (at % (block.length - 8))] = value;
        new DataView(block.buffer).setUint32(4, nodeDigest.crc32(block.subarray(8)), true);
        for (const hostile of [block, block.subarray(0, cut % block.length)]) decodesOrRefuses(hostile);
      }),
      { numRuns: 2_000 },
    );
  });
});

function decodesOrRefuses(hostile: Uint8Array): void {
  try {
    const { header, records: decoded } = decodeBlock(hostile, nodeDigest, nodeCodecs);
    expect(decoded.length).toBe(header.recordCount);
  } catch (error) {
    if (!isTributaryError(error)) throw error;
  }
}

describe('shard map', () => {
  const step = fc.tuple(fc.boolean(), fc.nat(), fc.bigInt({ min: 0n, max: HASH_KEY_MAX }));

  it('never has a gap or an overlap after any splits and merges', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.array(step, { maxLength: 40 }),
        fc.string(),
        (count, steps, key) => {
          let map = createShardMap(count, 0);
          for (const [isSplit, pick, at] of steps)
            map = isSplit ? trySplit(map, pick, at) : tryMerge(map, pick);
          assertCovered(map);
          const hashKey = hashKeyOf(key, nodeDigest);
          const owners = openShards(map).filter(
            ({ range }) => hashKey >= range.start && hashKey <= range.end,
          );
          expect(owners).toEqual([shardFor(map, toHashText(hashKey))]);
          expect(new Set(map.shards.map((shard) => shard.index)).size).toBe(map.shards.length);
        },
      ),
    );
  });
});

function trySplit(map: ShardMap, pick: number, at: bigint): ShardMap {
  const open = openShards(map);
  const shard = open[pick % open.length];
  if (shard === undefined) return map;
  const width = shard.range.end - shard.range.start;
  if (width < 4n) return map;
  return splitShard(map, shard.index, shard.range.start + 2n + (at % (width - 2n)), 1);
}

function tryMerge(map: ShardMap, pick: number): ShardMap {
  const open = openShards(map);
  const lower = open[pick % open.length];
  const upper = open[(pick % open.length) + 1];
  return lower === undefined || upper === undefined ? map : mergeShards(map, upper.index, lower.index, 1);
}

describe('sequence number', () => {
  const position = fc
    .tuple(
      fc.bigInt({ min: 0n, max: 2n ** 68n - 1n }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.integer({ min: 0, max: 0xffff }),
    )
    .map(([epoch, commit, index]) => toPosition(epoch, commit, index));

  it('round-trips, has 56 digits and sorts as text', () => {
    fc.assert(
      fc.property(position, position, fc.nat(), (a, b, shardIndex) => {
        const [textA, textB] = [formatSequenceNumber(a, shardIndex), formatSequenceNumber(b, shardIndex)];
        expect(parseSequenceNumber(textA)).toEqual({ position: a, shardIndex });
        expect(textA).toHaveLength(56);
        expect(textA < textB).toBe(a < b);
      }),
    );
  });

  it('are the same when they are made by the block', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 2n ** 40n }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.nat({ max: 2 ** 31 - 1 }),
        fc.array(fc.nat({ max: 65_534 }), { maxLength: 20 }),
        (epoch, commit, shardIndex, indexes) => {
          const numberAt = sequenceNumbersOf(toPosition(epoch, commit, 0), shardIndex);
          for (const index of [0, 65_534, ...indexes]) {
            expect(numberAt(index)).toBe(formatSequenceNumber(toPosition(epoch, commit, index), shardIndex));
          }
        },
      ),
    );
  });
});

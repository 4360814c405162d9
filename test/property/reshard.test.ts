// Goal: whatever the shards are, resizing them gives even shards, by steps that a client library follows. Method:
// generated maps and targets.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HASH_KEY_MAX } from '../../stream/hash-range.ts';
import { openShardsMax, planResize } from '../../stream/reshard.ts';
import {
  applyRound,
  assertCovered,
  createShardMap,
  mergeShards,
  openShards,
  parentsOf,
  splitShard,
} from '../../stream/shard-map.ts';
import type { ShardMap } from '../../stream/shard-map.ts';

const pick = fc.tuple(fc.boolean(), fc.nat(), fc.bigInt({ min: 0n, max: HASH_KEY_MAX }));

function after(map: ShardMap, [isSplit, place, at]: readonly [boolean, number, bigint]): ShardMap {
  const open = openShards(map);
  const lower = open[place % open.length];
  const upper = open[(place % open.length) + 1];
  if (lower === undefined) return map;
  const width = lower.range.end - lower.range.start;
  if (isSplit && width >= 4n) {
    return splitShard(map, lower.index, lower.range.start + 2n + (at % (width - 2n)), 1);
  }
  return upper === undefined ? map : mergeShards(map, lower.index, upper.index, 1);
}

describe('resizing', () => {
  it('gives as many even shards as asked for, each child with at most two parents', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(pick, { maxLength: 30 }),
        fc.integer({ min: 1, max: 60 }),
        (count, steps, target) => {
          let map = steps.reduce(after, createShardMap(count, 0));
          const most = openShardsMax(map, planResize(map, target));
          for (const round of planResize(map, target)) {
            expect(new Set(parentsOf(round)).size).toBe(parentsOf(round).length);
            map = applyRound(map, round, 2);
            assertCovered(map);
            expect(openShards(map).length).toBeLessThanOrEqual(most);
          }
          const open = openShards(map);
          expect(open).toHaveLength(target);
          const width = (HASH_KEY_MAX + 1n) / BigInt(target);
          for (const { range } of open) {
            const off = range.end - range.start - width;
            expect((off < 0n ? -off : off) <= width / 256n).toBe(true);
          }
          expect(map.shards.every(({ parents }) => parents.length <= 2)).toBe(true);
        },
      ),
    );
  });

  it('doubles by one split of each shard, halves by one merge of each pair, and leaves alone what fits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (count) => {
        const map = createShardMap(count, 0);
        expect(planResize(map, count)).toEqual([]);
        const doubling = planResize(map, 2 * count);
        expect(doubling).toHaveLength(1);
        expect(doubling[0]?.every(({ kind }) => kind === 'split')).toBe(true);
        const doubled = applyRound(map, doubling[0] ?? [], 1);
        const halving = planResize(doubled, count);
        expect(halving).toHaveLength(1);
        expect(halving[0]).toHaveLength(count);
        expect(halving[0]?.every(({ kind }) => kind === 'merge')).toBe(true);
      }),
    );
  });
});

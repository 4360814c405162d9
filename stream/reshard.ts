// How a stream gets from the shards it has to as many as are wanted: rounds of splits, then rounds of merges.
import { HASH_KEY_MAX } from './hash-range.ts';
import { applyRound, openShards } from './shard-map.ts';
import type { ReshardRound, ReshardStep, Shard, ShardMap } from './shard-map.ts';

/** Most shards that are open at a time while the rounds are taken. */
export function openShardsMax(map: ShardMap, rounds: readonly ReshardRound[]): number {
  let open = openShards(map).length;
  let most = open;
  for (const round of rounds) {
    for (const step of round) open += step.kind === 'split' ? 1 : -1;
    most = Math.max(most, open);
  }
  return most;
}

/**
 * `target` open shards of equal width: cut at the target's boundaries, then merge what lies between two of them. No child
 * has more than two parents. A boundary that is almost there already stays where it is, so that doubling splits each
 * shard once and halving only merges.
 */
export function planResize(map: ShardMap, target: number): ReshardRound[] {
  const boundaries = targetBoundaries(map, target);
  const rounds: ReshardRound[] = [];
  let next = map;
  for (;;) {
    const round = splitRound(next, boundaries) ?? mergeRound(next, boundaries);
    if (round === null) return rounds;
    rounds.push(round);
    next = applyRound(next, round, 0);
  }
}

/** A thousandth of a shard is no reason to move a boundary. */
const SNAP_BITS = 10n;

/** Starts of the target's ranges but the first, each moved to a start that is there if one is close. */
function targetBoundaries(map: ShardMap, target: number): bigint[] {
  const width = (HASH_KEY_MAX + 1n) / BigInt(target);
  const near = width >> SNAP_BITS;
  const starts = openShards(map).map(({ range }) => range.start);
  const boundaries: bigint[] = [];
  let place = 0;
  for (let index = 1; index < target; index += 1) {
    const wanted = BigInt(index) * width;
    while ((starts[place + 1] ?? HASH_KEY_MAX + 1n) <= wanted) place += 1;
    const close = [starts[place] ?? 0n, starts[place + 1] ?? 0n].find(
      (start) => start > 0n && start - wanted <= near && wanted - start <= near,
    );
    boundaries.push(close ?? wanted);
  }
  return boundaries;
}

/** Each shard with boundaries inside is cut at the middle one of them; null when no shard has any. */
function splitRound(map: ShardMap, boundaries: readonly bigint[]): ReshardRound | null {
  const steps: ReshardStep[] = [];
  let place = 0;
  for (const { index, range } of openShards(map)) {
    const first = skipTo(boundaries, place, range.start + 1n);
    place = skipTo(boundaries, first, range.end + 1n);
    const at = boundaries[(first + place) >> 1];
    if (first < place && at !== undefined) steps.push({ kind: 'split', shard: index, at });
  }
  return steps.length === 0 ? null : steps;
}

/** Neighbours between two boundaries in pairs; null when every shard has a boundary on both sides. */
function mergeRound(map: ShardMap, boundaries: readonly bigint[]): ReshardRound | null {
  const isBoundary = new Set(boundaries);
  const steps: ReshardStep[] = [];
  let before: Shard | null = null;
  for (const shard of openShards(map)) {
    if (before !== null && !isBoundary.has(shard.range.start)) {
      steps.push({ kind: 'merge', shard: before.index, adjacent: shard.index });
      before = null;
    } else {
      before = shard;
    }
  }
  return steps.length === 0 ? null : steps;
}

function skipTo(boundaries: readonly bigint[], from: number, key: bigint): number {
  let place = from;
  while (place < boundaries.length && (boundaries[place] ?? 0n) < key) place += 1;
  return place;
}

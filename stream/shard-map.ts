// Which shard owns which hash keys, and who came from whom. Immutable values: split and merge return a new map.
import { TributaryError, assert } from './errors.ts';
import { HASH_KEY_MAX, evenRanges, rangeHas } from './hash-range.ts';
import type { HashRange } from './hash-range.ts';

export interface Shard {
  /** Never used again in the stream. */
  readonly index: number;
  readonly range: HashRange;
  readonly parents: readonly number[];
  readonly createdAtMs: number;
  /** null = open. */
  readonly closedAtMs: number | null;
}

export interface ShardMap {
  readonly nextIndex: number;
  /** By index; closed ones stay until they expire. */
  readonly shards: readonly Shard[];
}

export function createShardMap(count: number, nowMs: number): ShardMap {
  const shards = evenRanges(count).map((range, index) => openShard(index, range, [], nowMs));
  return { nextIndex: count, shards };
}

/** `shardId-%012d` (Kinesis API). */
export function shardIdOf(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`;
}

/** Index of an id, also of the unpadded and bare forms that Kinesis accepts; null when it is no id. */
export function shardIndexOf(shardId: string): number | null {
  const digits = /^(?:shardId-)?0*(\d{1,10})$/.exec(shardId)?.[1];
  const index = digits === undefined ? -1 : Number(digits);
  return index >= 0 && index <= 2_147_483_647 ? index : null;
}

/** Open shards by the start of their range. */
export function openShards(map: ShardMap): Shard[] {
  const open = map.shards.filter((shard) => shard.closedAtMs === null);
  return open.toSorted((a, b) => (a.range.start < b.range.start ? -1 : 1));
}

export function shardFor(map: ShardMap, hashKey: bigint): Shard {
  const owner = map.shards.find((shard) => shard.closedAtMs === null && rangeHas(shard.range, hashKey));
  assert(owner !== undefined, 'the open shards cover every hash key');
  return owner;
}

/** Children [start, at - 1] and [at, end]. Throws SHARD_RANGE_INVALID unless start + 1 < at < end. */
export function splitShard(map: ShardMap, index: number, at: bigint, nowMs: number): ShardMap {
  const { range } = openAt(map, index);
  if (at <= range.start + 1n || at >= range.end) {
    throw new TributaryError('SHARD_RANGE_INVALID', `${at} does not lie inside ${range.start}..${range.end}`);
  }
  const lower = openShard(map.nextIndex, { start: range.start, end: at - 1n }, [index], nowMs);
  const upper = openShard(map.nextIndex + 1, { start: at, end: range.end }, [index], nowMs);
  return replace(map, [index], [lower, upper], nowMs);
}

/** One child of two neighbours; `index` is its parent, `adjacent` its adjacent parent. */
export function mergeShards(map: ShardMap, index: number, adjacent: number, nowMs: number): ShardMap {
  const first = openAt(map, index).range;
  const second = openAt(map, adjacent).range;
  const [lower, upper] = first.start < second.start ? [first, second] : [second, first];
  if (lower.end + 1n !== upper.start) {
    throw new TributaryError('SHARD_RANGE_INVALID', `shards ${index} and ${adjacent} are not neighbours`);
  }
  const child = openShard(map.nextIndex, { start: lower.start, end: upper.end }, [index, adjacent], nowMs);
  return replace(map, [index, adjacent], [child], nowMs);
}

export function childrenOf(map: ShardMap, index: number): Shard[] {
  return map.shards.filter((shard) => shard.parents.includes(index));
}

/** The invariant of every map that is stored: open ranges cover [0, 2^128) without gap or overlap. */
export function assertCovered(map: ShardMap): void {
  let next = 0n;
  for (const shard of openShards(map)) {
    assert(shard.range.start === next, `hash keys from ${next} have one owner`);
    next = shard.range.end + 1n;
  }
  assert(next === HASH_KEY_MAX + 1n, 'the last open shard ends at 2^128 - 1');
}

function openShard(index: number, range: HashRange, parents: readonly number[], nowMs: number): Shard {
  return { index, range, parents, createdAtMs: nowMs, closedAtMs: null };
}

function openAt(map: ShardMap, index: number): Shard {
  const shard = map.shards.find((candidate) => candidate.index === index);
  if (shard === undefined) throw new TributaryError('SHARD_NOT_FOUND', `the stream has no shard ${index}`);
  if (shard.closedAtMs === null) return shard;
  throw new TributaryError('SHARD_CLOSED', `shard ${index} is closed`);
}

function replace(
  map: ShardMap,
  parents: readonly number[],
  children: readonly Shard[],
  nowMs: number,
): ShardMap {
  const kept = map.shards.map((shard) =>
    parents.includes(shard.index) ? { ...shard, closedAtMs: nowMs } : shard,
  );
  const next = { nextIndex: map.nextIndex + children.length, shards: [...kept, ...children] };
  assertCovered(next);
  return next;
}

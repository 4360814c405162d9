// Which shard owns which hash keys, and who came from whom. Immutable values: split and merge return a new map.
import { TributaryError, assert } from './errors.ts';
import { HASH_KEY_MAX, evenRanges, toHashText } from './hash-range.ts';
import type { HashRange, HashText } from './hash-range.ts';

export interface Shard {
  /** Never used again in the stream. */
  readonly index: number;
  readonly range: HashRange;
  readonly parents: readonly number[];
  /** When its parents were closed. */
  readonly createdAtMs: number;
  /** Later than createdAtMs, and than the arrival of its last record, whatever the clock does. null = open. */
  readonly closedAtMs: number | null;
}

export interface ShardMap {
  readonly nextIndex: number;
  /** By index; closed ones stay until they expire. */
  readonly shards: readonly Shard[];
}

/** What closes one shard or two neighbours and opens their children. */
export type ReshardStep =
  | { readonly kind: 'split'; readonly shard: number; readonly at: bigint }
  | { readonly kind: 'merge'; readonly shard: number; readonly adjacent: number };

/** Steps on different shards, taken together. */
export type ReshardRound = readonly ReshardStep[];

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

/** By halving: every read asks, and a map holds closed shards for as long as their records. */
export function shardAt({ shards }: ShardMap, index: number): Shard | undefined {
  let low = 0;
  let high = shards.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((shards[middle]?.index ?? Infinity) < index) low = middle + 1;
    else high = middle;
  }
  const found = shards[low];
  return found?.index === index ? found : undefined;
}

/** Open shards by the start of their range. */
export function openShards(map: ShardMap): Shard[] {
  const open = map.shards.filter((shard) => shard.closedAtMs === null);
  return open.toSorted((a, b) => (a.range.start < b.range.start ? -1 : 1));
}

/** The open shard that owns a hash key. */
export function shardFor(map: ShardMap, hashKey: HashText): Shard {
  const { starts, shards } = routesOf(map);
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? '') <= hashKey) low = middle;
    else high = middle;
  }
  const owner = shards[low];
  assert(owner !== undefined, 'the open shards cover every hash key');
  return owner;
}

interface Routes {
  /** Ascending; each range ends where the next one starts. */
  readonly starts: readonly HashText[];
  readonly shards: readonly Shard[];
}

/** Of maps in use: maps are never changed. */
const routes = new WeakMap<ShardMap, Routes>();

function routesOf(map: ShardMap): Routes {
  const known = routes.get(map);
  if (known !== undefined) return known;
  const shards = openShards(map);
  const made = { starts: shards.map(({ range }) => toHashText(range.start)), shards };
  routes.set(map, made);
  return made;
}

/** Children [start, at - 1] and [at, end]. Throws SHARD_RANGE_INVALID unless start + 1 < at < end. */
export function splitShard(map: ShardMap, shard: number, at: bigint, nowMs: number): ShardMap {
  return applyRound(map, [{ kind: 'split', shard, at }], nowMs);
}

/** One child of two neighbours; `shard` is its parent, `adjacent` its adjacent parent. Throws SHARD_RANGE_INVALID. */
export function mergeShards(map: ShardMap, shard: number, adjacent: number, nowMs: number): ShardMap {
  return applyRound(map, [{ kind: 'merge', shard, adjacent }], nowMs);
}

/**
 * `nowMs`: later than the last record of each parent. A clock that was set back makes no child older than its parents.
 * Throws SHARD_NOT_FOUND, SHARD_CLOSED or SHARD_RANGE_INVALID.
 */
export function applyRound(map: ShardMap, round: ReshardRound, nowMs: number): ShardMap {
  const known = new Map(map.shards.map((shard) => [shard.index, shard]));
  const closed = new Set(parentsOf(round));
  assert(closed.size === parentsOf(round).length, 'the steps of a round touch different shards');
  const atMs = [...closed].reduce(
    (latest, index) => Math.max(latest, (known.get(index)?.createdAtMs ?? 0) + 1),
    nowMs,
  );
  const children: Shard[] = [];
  for (const step of round) {
    const parents = parentsOf([step]);
    for (const range of rangesAfter(step, (index) => openRange(known, index)))
      children.push(openShard(map.nextIndex + children.length, range, parents, atMs));
  }
  const kept = map.shards.map((shard) => (closed.has(shard.index) ? { ...shard, closedAtMs: atMs } : shard));
  const next = { nextIndex: map.nextIndex + children.length, shards: [...kept, ...children] };
  assertCovered(next);
  return next;
}

/** The shards a round closes. */
export function parentsOf(round: ReshardRound): number[] {
  return round.flatMap((step) => (step.kind === 'split' ? [step.shard] : [step.shard, step.adjacent]));
}

export function childrenOf(map: ShardMap, index: number): Shard[] {
  return map.shards.filter((shard) => shard.parents.includes(index));
}

/** The map as it was when `nextIndex` was this, but for shards that have gone since. */
export function mapBefore(map: ShardMap, nextIndex: number): ShardMap {
  if (map.nextIndex === nextIndex) return map;
  const made = map.shards.filter(({ index }) => index < nextIndex);
  const closed = new Set(made.flatMap(({ parents }) => parents));
  const shards = made.map((shard) => (closed.has(shard.index) ? shard : { ...shard, closedAtMs: null }));
  return { nextIndex, shards };
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

function rangesAfter(step: ReshardStep, rangeOf: (shard: number) => HashRange): HashRange[] {
  const range = rangeOf(step.shard);
  if (step.kind === 'split') {
    if (step.at > range.start + 1n && step.at < range.end)
      return [
        { start: range.start, end: step.at - 1n },
        { start: step.at, end: range.end },
      ];
    throw new TributaryError(
      'SHARD_RANGE_INVALID',
      `${step.at} does not lie inside ${range.start}..${range.end}`,
    );
  }
  const other = rangeOf(step.adjacent);
  const [lower, upper] = range.start < other.start ? [range, other] : [other, range];
  if (lower.end + 1n === upper.start) return [{ start: lower.start, end: upper.end }];
  const text = `shards ${step.shard} and ${step.adjacent} are not neighbours`;
  throw new TributaryError('SHARD_RANGE_INVALID', text);
}

function openRange(shards: ReadonlyMap<number, Shard>, index: number): HashRange {
  const shard = shards.get(index);
  if (shard === undefined) throw new TributaryError('SHARD_NOT_FOUND', `the stream has no shard ${index}`);
  if (shard.closedAtMs === null) return shard.range;
  throw new TributaryError('SHARD_CLOSED', `shard ${index} is closed`);
}

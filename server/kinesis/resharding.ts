// One round of splits and merges: the fence. Nothing is acknowledged in a parent behind it, and the children begin where
// the parents ended, with the state of the lanes that go on there.
import { hashKeyOf, rangeHas } from '../../stream/hash-range.ts';
import type { Digest, LaneRow, ShardLog } from '../../stream/ports.ts';
import type { Position } from '../../stream/position.ts';
import { applyRound, parentsOf } from '../../stream/shard-map.ts';
import type { ReshardRound, Shard, ShardMap } from '../../stream/shard-map.ts';
import { retentionMs, shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

/** Where the records of a lane go: all of them to one shard at a time. */
export function laneHashKey(lane: string, digest: Digest): bigint {
  return hashKeyOf(lane, digest);
}

/**
 * The map to publish once this resolves: parents closed on the disk, children made. Until it is published it may be taken
 * again, after a crash or on a disk that was full.
 */
export async function takeRound(
  row: StreamRow,
  round: ReshardRound,
  parts: { readonly log: ShardLog; readonly digest: Digest; readonly nowMs: () => number },
): Promise<ShardMap> {
  const ends = new Map(
    await Promise.all(
      parentsOf(round).map(async (index) => [index, await close(row, index, parts.log)] as const),
    ),
  );
  const lastMs = [...ends.values()].reduce((last, { lastArrivalMs }) => Math.max(last, lastArrivalMs), 0);
  const map = applyRound(row.map, round, Math.max(parts.nowMs(), lastMs + 1));
  const children = map.shards.filter((shard) => shard.index >= row.map.nextIndex);
  await Promise.all(children.map((child) => makeChild(row, child, ends, parts)));
  return map;
}

/** Indexes of all shards that may be in the log, those of a round under way too. */
export function shardsMade({ map, reshard = [] }: StreamRow): number[] {
  const made = map.shards.map(({ index }) => index);
  const underWay = applyRound(map, reshard[0] ?? [], 0).nextIndex - map.nextIndex;
  for (let child = 0; child < underWay; child += 1) made.push(map.nextIndex + child);
  return made;
}

interface End {
  /** Where the next record would have been. */
  readonly next: Position;
  /** 0: it never had a record. */
  readonly lastArrivalMs: number;
  readonly lanes: readonly LaneRow[];
}

async function close(row: StreamRow, index: number, log: ShardLog): Promise<End> {
  const ref = shardRef(row, { index });
  const { lanes } = await log.closeShard(ref);
  const { next, lastArrivalMs } = await log.bounds(ref);
  return { next, lastArrivalMs, lanes };
}

async function makeChild(
  row: StreamRow,
  child: Shard,
  ends: ReadonlyMap<number, End>,
  { log, digest }: { readonly log: ShardLog; readonly digest: Digest },
): Promise<void> {
  const parents = child.parents.flatMap((index) => ends.get(index) ?? []);
  const after = parents.reduce((most, { next }) => (next > most ? next : most), 0n as Position);
  const lanes = parents
    .flatMap((parent) => parent.lanes)
    .filter(({ lane }) => rangeHas(child.range, laneHashKey(lane, digest)));
  const options = { retentionMs: retentionMs(row), streamName: row.name, after, lanes };
  await log.createShard(shardRef(row, child), options);
}

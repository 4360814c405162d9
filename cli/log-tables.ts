// The tables of `tributary log inspect`.
import type { LaneStates } from '../gateway/lane-states.ts';
import type { InspectedShard } from '../server/log-files.ts';
import { duration, printTable } from './output.ts';

export function printShards(shards: readonly InspectedShard[], nowMs: number): void {
  const age = (ms: number | null): string => (ms === null ? '-' : duration(Math.max(0, nowMs - ms)));
  printTable(
    ['STREAM', 'SHARD', 'BLOCKS', 'RECORDS', 'ORDINALS', 'BYTES', 'LOST', 'EPOCH', 'OLDEST', 'NEWEST'],
    shards.map((shard) => [
      shard.stream,
      `${shard.shardId}${shard.closed ? ' (closed)' : ''}`,
      String(shard.blocks),
      String(shard.records),
      shard.firstOrdinal === null ? '-' : `${shard.firstOrdinal}..${shard.lastOrdinal ?? '?'}`,
      String(shard.bytes),
      String(shard.lostRecords),
      shard.epoch,
      age(shard.oldestMs),
      age(shard.newestMs),
    ]),
  );
}

/** Of a gateway what it knows of its lanes, of a server the lanes of its shards. */
export function printLaneRows(shards: readonly InspectedShard[], states: LaneStates): void {
  const own = Object.entries(states);
  if (own.length > 0) {
    printTable(
      ['LANE', 'INCARNATION', 'BASE', 'ACKNOWLEDGED', 'EVICTED', 'RUNS'],
      own.map(([lane, { incarnation, base, acknowledged, evictedRecords, runs }]) => [
        lane,
        incarnation ?? '-',
        base ?? '-',
        acknowledged ?? '0',
        evictedRecords ?? '0',
        String(runs.length),
      ]),
    );
  }
  const lanes = shards.flatMap((shard) => shard.lanes.map(({ lane, last }) => [lane, last]));
  if (lanes.length > 0) printTable(['LANE', 'LAST'], lanes);
}

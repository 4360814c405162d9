// Makes shards of the blocks that were found again: marks where some are missing, lanes that end where their blocks do.
import { EMPTY_TAG, encodeLaneTag } from '../../stream/lane-tag.ts';
import { START_POSITION } from '../../stream/position.ts';
import { laneAfter } from './salvage-lanes.ts';
import type { ShardFound } from './salvage-rows.ts';
import { marksOf } from './salvage-shard.ts';
import type { SalvageTarget } from './salvage-target.ts';
import { ShardWalk } from './salvage-walk.ts';
import type { SalvagedShard } from './salvage-walk.ts';
import { birthKey, bornLaneKey, encodeBirth } from '../lmdb/shard-birth.ts';
import { blockKey, commitOf, decodeLane, encodeLane, laneKey, laneOf, noOf } from '../shard-keys.ts';
import { decodeShardRow, encodeShardRow } from '../lmdb/shard-row.ts';
import { laneHash, readEnvelope, shardTag, unwrapBlock, wrapBlock, wrapLost } from '../lmdb/stored-block.ts';

/** Of a lane whose row is missing: its blocks say the rest. */
const UNKNOWN_LANE = { last: 0n, position: START_POSITION, tag: encodeLaneTag(EMPTY_TAG) };

export class ShardRepair {
  readonly #target: SalvageTarget;
  readonly #epoch: bigint;
  readonly streams = new Map<string, { records: number; lostRecords: number }>();
  readonly notes: string[] = [];
  bytes = 0;

  constructor(target: SalvageTarget, epoch: bigint) {
    this.#target = target;
    this.#epoch = epoch;
  }

  /** Every shard of the store, and nothing that is of none. */
  repair(shards: readonly ShardFound[]): void {
    const byNo = new Map(shards.map((shard) => [shard.row.no, shard]));
    for (const no of this.#target.shardNumbers()) if (!byNo.has(no)) this.#dropBlocks(no);
    for (const { key } of this.#target.rows('dropped')) this.#target.put('dropped', key, null);
    for (const { key, value } of this.#target.rows('shards'))
      if (!byNo.has(decodeShardRow(value).no)) this.#target.put('shards', key, null);
    const lanes = this.#lanesByShard();
    for (const shard of shards) {
      const salvaged = this.#repairShard(shard);
      this.#repairLanes(shard.key, salvaged, lanes, shards);
    }
    for (const [no, names] of lanes)
      if (!byNo.has(no)) for (const lane of names.keys()) this.#target.put('lanes', laneKey(no, lane), null);
    this.#target.flush();
  }

  #repairShard({ key, row, isOld }: ShardFound): SalvagedShard {
    this.#target.flush();
    const walk = new ShardWalk(row, shardTag(key.toString()), isOld);
    for (const block of this.#target.blocks(row.no)) walk.pass(block.key, block.value);
    const salvaged = walk.end(this.#epoch);
    for (const refused of salvaged.refused) this.#target.put('blocks', refused, null);
    this.#writeMarks(key, salvaged);
    for (const mended of salvaged.mended) this.#mend(key, mended);
    this.#target.put('shards', key, Buffer.from(encodeShardRow(salvaged.row)));
    this.#target.put('system', birthKey(row.no), Buffer.from(encodeBirth(key, salvaged.row)));
    this.#target.flush();
    this.#count(key, salvaged, isOld);
    return salvaged;
  }

  #writeMarks(key: Buffer, { row, holes }: SalvagedShard): void {
    const tag = shardTag(key.toString());
    for (const hole of holes) {
      for (const { commit, records, bytes, ...mark } of marksOf(hole, row)) {
        const home = { shardNo: row.no, shardTag: tag, commit, laneHash: laneHash(undefined) };
        const stored = wrapLost({ ...mark, recordCount: records }, home, bytes);
        this.#target.put('blocks', blockKey(row.no, commit), Buffer.from(stored));
      }
    }
  }

  #mend(shard: Buffer, key: Buffer): void {
    const [shardNo, commit] = [noOf(key), commitOf(key)];
    const stored = this.#target.block(shardNo, commit);
    if (stored === undefined) return;
    const home = { shardNo, shardTag: shardTag(shard.toString()), commit, laneHash: laneHash(undefined) };
    const mended = wrapBlock(readEnvelope(stored), home, unwrapBlock(stored).block);
    this.#target.put('blocks', key, Buffer.from(mended));
  }

  #lanesByShard(): Map<number, Map<string, Buffer>> {
    const lanes = new Map<number, Map<string, Buffer>>();
    const born = this.#target.rows('system').flatMap(({ key }) => bornLaneKey(key) ?? []);
    const unknown = born
      .filter((key) => !this.#target.has('lanes', key))
      .map((key) => ({ key, value: Buffer.from(encodeLane(UNKNOWN_LANE)) }));
    for (const { key, value } of [...this.#target.rows('lanes'), ...unknown]) {
      const names = lanes.get(noOf(key)) ?? new Map<string, Buffer>();
      names.set(laneOf(key), value);
      lanes.set(noOf(key), names);
    }
    return lanes;
  }

  #repairLanes(
    key: Buffer,
    { row, lanes: ends }: SalvagedShard,
    lanes: ReadonlyMap<number, ReadonlyMap<string, Buffer>>,
    shards: readonly ShardFound[],
  ): void {
    const isKept = (commit: bigint): boolean => {
      const stored = this.#target.block(row.no, commit);
      return stored !== undefined && !readEnvelope(stored).isLost;
    };
    const parents = shards.filter(
      (other) => other.row.no !== row.no && other.row.closed && streamOf(other.key) === streamOf(key),
    );
    for (const [lane, value] of lanes.get(row.no) ?? []) {
      const state = decodeLane(value);
      const after = laneAfter(lane, state, row, ends, isKept);
      if (after === state) continue;
      // What the shard began with came from a parent, which still says it.
      const earlier = parents
        .flatMap((parent) => lanes.get(parent.row.no)?.get(lane) ?? [])
        .map((stored) => decodeLane(stored))
        .filter(({ last }) => last < state.last)
        .toSorted((a, b) => Number(b.last - a.last))[0];
      const kept = after ?? earlier ?? null;
      this.#target.put('lanes', laneKey(row.no, lane), kept === null ? null : Buffer.from(encodeLane(kept)));
      this.notes.push(
        `lane ${lane} ends at ordinal ${kept?.last ?? 0n} now, its row said ${state.last}: what came behind it is asked for again`,
      );
    }
  }

  #dropBlocks(no: number): void {
    const keys = [...this.#target.blocks(no)].map(({ key }) => key);
    for (const key of keys) this.#target.put('blocks', key, null);
    this.notes.push(
      `${keys.length} blocks of shard number ${no} are given up: the row that says which shard it is is missing`,
    );
  }

  #count(
    key: Buffer,
    { row, records, bytes, lostRecords, isStartUnknown }: SalvagedShard,
    isOld: boolean,
  ): void {
    const before = this.streams.get(row.streamName) ?? { records: 0, lostRecords: 0 };
    this.streams.set(row.streamName, {
      records: before.records + records,
      lostRecords: before.lostRecords + lostRecords,
    });
    this.bytes += bytes;
    const shard = key.toString().replace('\0', '/');
    if (isOld) this.notes.push(`the row of shard ${shard} is an old one: what was trimmed since may be back`);
    if (isStartUnknown)
      this.notes.push(`the oldest records of shard ${shard} are missing; nobody knows how many`);
  }
}

function streamOf(key: Buffer): string {
  return key.toString().split('\0', 1)[0] ?? '';
}

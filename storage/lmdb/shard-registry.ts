// The shards of a store in memory. A shard's row has two versions: what decisions see (with the batch under way) and what
// readers see (durable only).
import { TributaryError } from '../../stream/errors.ts';
import type { LaneRow, ShardRef } from '../../stream/ports.ts';
import type { Batch, Row, Table } from './batch.ts';
import { ChangeSignal } from '../change-signal.ts';
import { ShardBlocks } from './shard-blocks.ts';
import { startEpoch } from './shard-epochs.ts';
import { birthKey, encodeBirth } from './shard-birth.ts';
import { decodeLane, laneOf, nameOf, noKey, noOf, refOf, shardKey } from '../shard-keys.ts';
import { decodeShardRow, encodeShardRow } from './shard-row.ts';
import type { ShardRow } from './shard-row.ts';
import { shardTag } from './stored-block.ts';

export interface LogTables {
  readonly shards: Table;
  readonly lanes: Table;
  /** Numbers of dropped shards whose blocks are not deleted yet. */
  readonly dropped: Table;
  /** The rows of shards as they were made, on pages of their own: without its row nobody knows whose blocks are whose. */
  readonly births: Table;
  /** The blocks of a shard, made when they are not there. Not while a commit is under way. */
  blocksOf(shardNo: number): Table;
  /** Whether blocksOf gives every shard a table of its own. */
  readonly isPerShard: boolean;
}

export interface Shard {
  readonly ref: ShardRef;
  /** In the envelope of each of its blocks. */
  readonly tag: number;
  readonly blocks: ShardBlocks;
  readonly changes: ChangeSignal;
  decided: ShardRow;
  visible: ShardRow;
  /** Created, and durably so. */
  isVisible: boolean;
  isDropped: boolean;
}

/** How many rows can be reached. */
export interface LogCensus {
  readonly shards: number;
  readonly lanes: number;
  readonly dropped: number;
  /** By shard number. */
  readonly blocks: ReadonlyMap<number, number>;
  /** In the table that all shards share. */
  readonly droppedBlocks: number;
}

const ROWS_PER_READ = 1_000;

export class ShardRegistry {
  readonly #tables: LogTables;
  readonly #shards = new Map<string, Shard>();
  #nextNo = 1;
  #closed: TributaryError | null = null;

  constructor(tables: LogTables) {
    this.#tables = tables;
  }

  /** Reads every shard's row and newest block, and the numbers of the dropped ones. */
  load(): number[] {
    for (const { key, value } of allRows(this.#tables.shards)) {
      const row = decodeShardRow(value);
      this.#nextNo = Math.max(this.#nextNo, row.no + 1);
      const shard = this.hold(refOf(key), row);
      shard.decided = shard.blocks.recover(row);
      shard.visible = shard.decided;
      shard.isVisible = true;
    }
    const dropped = [...allRows(this.#tables.dropped)].map(({ key }) => noOf(key));
    this.#nextNo = Math.max(this.#nextNo, ...dropped.map((no) => no + 1));
    return dropped;
  }

  /** Called alone with the tables. */
  startEpoch(epoch: bigint): void {
    for (const shard of this.all()) {
      const row = shard.decided;
      if (row.closed) continue;
      const epochs = startEpoch(row.epochs, row.first, row.next, epoch);
      shard.decided = { ...row, epochs };
      shard.visible = { ...shard.visible, epochs };
      void this.#tables.shards.put(shardKey(shard.ref), encodeShardRow(shard.decided));
    }
  }

  census(dropped: readonly number[]): LogCensus {
    const shards = this.all();
    const { isPerShard, lanes } = this.#tables;
    const droppedBlocks = isPerShard
      ? 0
      : dropped.reduce((sum, no) => sum + countOf(this.#tables.blocksOf(no), no), 0);
    return {
      shards: shards.length,
      lanes: [...allKeys(lanes)].length,
      dropped: dropped.length,
      blocks: new Map(shards.map(({ decided: { no, next, oldest } }) => [no, Number(next - oldest)])),
      droppedBlocks,
    };
  }

  /** A number no shard of this store has, dropped ones included. */
  nextNo(): number {
    const no = this.#nextNo;
    this.#nextNo += 1;
    return no;
  }

  /** Takes a shard into memory, unseen by readers. */
  hold(ref: ShardRef, row: ShardRow): Shard {
    const blocks = new ShardBlocks(this.#tables.blocksOf(row.no), row.no);
    const name = nameOf(ref);
    const shard: Shard = {
      ref,
      tag: shardTag(name),
      blocks,
      changes: new ChangeSignal(),
      decided: row,
      visible: row,
      isVisible: false,
      isDropped: false,
    };
    this.#shards.set(name, shard);
    return shard;
  }

  /** Puts back what `hold` replaced. */
  restore(ref: ShardRef, shard: Shard | undefined): void {
    if (shard === undefined) this.#shards.delete(nameOf(ref));
    else this.#shards.set(nameOf(ref), shard);
  }

  find(ref: ShardRef): Shard | undefined {
    return this.#shards.get(nameOf(ref));
  }

  forget(shard: Shard): void {
    if (this.find(shard.ref) === shard) this.#shards.delete(nameOf(shard.ref));
    shard.changes.raise();
  }

  /** For decisions. Throws SHARD_NOT_FOUND. */
  decided(ref: ShardRef): Shard {
    const shard = this.find(ref);
    if (shard !== undefined && !shard.isDropped) return shard;
    throw new TributaryError('SHARD_NOT_FOUND', `there is no shard ${ref.shardId} of stream ${ref.streamId}`);
  }

  /** For readers. Throws SHARD_NOT_FOUND, and STORAGE_CLOSED when the store is. */
  seen(ref: ShardRef): Shard {
    if (this.#closed !== null) throw this.#closed;
    const shard = this.decided(ref);
    if (shard.isVisible) return shard;
    throw new TributaryError('SHARD_NOT_FOUND', `there is no shard ${ref.shardId} of stream ${ref.streamId}`);
  }

  all(): readonly Shard[] {
    return [...this.#shards.values()].filter((shard) => shard.isVisible && !shard.isDropped);
  }

  /** Changes a shard in a batch: readers see it when it is durable. */
  decide(batch: Batch, shard: Shard, row: ShardRow): void {
    const before = shard.decided;
    shard.decided = row;
    batch.onDurable(() => {
      // A trim may have moved what readers see further than this decision knew.
      const first = shard.visible.first > row.first ? shard.visible.first : row.first;
      shard.visible = { ...row, first };
      shard.changes.raise();
    });
    batch.onFailed(() => {
      shard.decided = before;
    });
  }

  writeBirth(batch: Batch, shard: Shard): void {
    batch.put(
      this.#tables.births,
      birthKey(shard.decided.no),
      encodeBirth(shardKey(shard.ref), shard.decided),
    );
  }

  /** Writes down what the newest block does not say. */
  writeRow(batch: Batch, shard: Shard): void {
    batch.put(this.#tables.shards, shardKey(shard.ref), encodeShardRow(shard.decided));
  }

  lanesOf(no: number): LaneRow[] {
    const lanes: LaneRow[] = [];
    for (const { key, value } of allRows(this.#tables.lanes, noKey(no))) {
      if (noOf(key) !== no) break;
      lanes.push({ lane: laneOf(key), ...decodeLane(value) });
    }
    return lanes;
  }

  /** Readers are refused, followers wake up to be refused. */
  close(): void {
    this.#closed ??= new TributaryError('STORAGE_CLOSED', 'the store is closed');
    for (const shard of this.#shards.values()) shard.changes.raise();
  }
}

function* allRows(table: Table, from: Uint8Array = Buffer.of(0)): Generator<Row> {
  let start = from;
  for (;;) {
    const rows = table.range(start, ROWS_PER_READ);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < ROWS_PER_READ) return;
    start = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

function* allKeys(table: Table, from: Uint8Array = Buffer.of(0)): Generator<Uint8Array> {
  let start = from;
  for (;;) {
    const keys = table.keys(start, ROWS_PER_READ);
    yield* keys;
    const last = keys.at(-1);
    if (last === undefined || keys.length < ROWS_PER_READ) return;
    start = Buffer.concat([last, Buffer.of(0)]);
  }
}

function countOf(blocks: Table, no: number): number {
  let count = 0;
  for (const key of allKeys(blocks, noKey(no))) {
    if (noOf(key) !== no) break;
    count += 1;
  }
  return count;
}

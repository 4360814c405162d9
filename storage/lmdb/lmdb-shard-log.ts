// ShardLog on ordered tables: every call is one decision, or one look at what is durable.
import { TributaryError, assert } from '../../stream/errors.ts';
import {
  BLOCK_RECORDS_MAX,
  LANE_TAG_BYTES_MAX,
  NOTE_BYTES_MAX,
  STORED_BLOCK_BYTES_MAX,
} from '../../stream/limits.ts';
import { START_POSITION, positionParts } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import { judgeOffer } from '../../stream/lane.ts';
import type {
  AppendInput,
  AppendResult,
  BlockPage,
  Clock,
  LaneAppend,
  LaneRow,
  LaneState,
  MetaChange,
  PageBounds,
  ShardBounds,
  ShardLog,
  ShardOptions,
  ShardRef,
} from '../../stream/ports.ts';
import type { Batch } from './batch.ts';
import type { Committer } from './committer.ts';
import type { LmdbMeta } from './lmdb-meta.ts';
import { RunningClock } from './running-clock.ts';
import { positionAt } from './shard-epochs.ts';
import { blockKey, decodeLane, encodeLane, laneKey, noKey, shardKey } from '../shard-keys.ts';
import { LANE_BIRTH, birthKey, laneBirthKey } from './shard-birth.ts';
import { ShardPurge } from './shard-purge.ts';
import { ShardRegistry } from './shard-registry.ts';
import type { LogCensus, LogTables, Shard } from './shard-registry.ts';
import { lostFrom, newShardRow } from './shard-row.ts';
import type { ShardRow } from './shard-row.ts';
import { CLOCK_CONFIRM_MS, RetentionClock } from './retention-clock.ts';
import { FIRST_EPOCH } from './store-format.ts';
import { tailShard } from '../shard-tail.ts';
import { laneHash, wrapBlock } from './stored-block.ts';
import { nextArrival } from '../time-segments.ts';

/** How often the running time is noted. */
export const AGE_NOTED_MS = 3_600_000;
/** What every follower holds that does not keep up; the server has one for each subscriber. */
const TAIL_PAGE = { blocks: 100, bytes: 1024 * 1024 };

export class LmdbShardLog implements ShardLog {
  readonly caps = { durability: 'disk', blockBytesMax: STORED_BLOCK_BYTES_MAX } as const;
  readonly #committer: Committer;
  readonly #tables: LogTables;
  readonly #meta: LmdbMeta;
  #clock: Clock;
  readonly #clockConfirmMs: number;
  #retention: RetentionClock;
  readonly #shards: ShardRegistry;
  readonly #purge: ShardPurge;
  #dropped: readonly number[] = [];
  /** Of the store: no shard starts in an earlier one. */
  #epoch = FIRST_EPOCH;

  constructor(
    committer: Committer,
    tables: LogTables,
    meta: LmdbMeta,
    clock: Clock,
    clockConfirmMs = CLOCK_CONFIRM_MS,
  ) {
    this.#clockConfirmMs = clockConfirmMs;
    this.#retention = new RetentionClock(clock, clock.wallMs(), clockConfirmMs);
    this.#committer = committer;
    this.#tables = tables;
    this.#meta = meta;
    this.#clock = clock;
    this.#shards = new ShardRegistry(tables);
    this.#purge = new ShardPurge(committer, tables, this.#shards, (batch, change) => {
      meta.change(batch, change);
    });
  }

  /** `runningSinceMs`: records get older by the time the program runs, of which so much was noted; null: by the clock. */
  load(epoch = FIRST_EPOCH, runningSinceMs: number | null = null): void {
    this.#epoch = epoch;
    this.#dropped = this.#shards.load();
    const arrivals = [...this.#shards.all()].map((shard) => shard.visible.lastArrivalMs ?? -Infinity);
    const newestMs = arrivals.reduce((newest, arrivalMs) => Math.max(newest, arrivalMs), -Infinity);
    if (runningSinceMs !== null) {
      const startMs = runningStart(newestMs, runningSinceMs, this.#clock.wallMs());
      this.#clock = new RunningClock(this.#clock, startMs);
    }
    const trustedMs = newestMs === -Infinity ? this.#clock.wallMs() : newestMs;
    this.#retention = new RetentionClock(this.#clock, trustedMs, this.#clockConfirmMs);
  }

  /** What arrival times are compared with. */
  nowMs(): number {
    return this.#clock.wallMs();
  }

  /** Before anything is appended, in a transaction: every shard that can be written to goes on in `epoch`. */
  startEpoch(epoch: bigint): void {
    this.#epoch = epoch;
    this.#shards.startEpoch(epoch);
  }

  /** How much was found when it was loaded. Called before anything is written. */
  census(): LogCensus {
    return this.#shards.census(this.#dropped);
  }

  /** Takes up what a crash left behind. */
  resume(): void {
    void this.#purge.purgeDropped(this.#dropped);
  }

  /** Of all shards, ever. */
  get lostRecords(): number {
    return this.#shards.all().reduce((sum, { visible }) => sum + visible.lostRecords, 0);
  }

  /** Frees what expired in shards nobody writes to. */
  sweep(): void {
    this.#purge.sweep(this.#retention.nowMs());
  }

  close(): void {
    this.#shards.close();
  }

  async createShard(ref: ShardRef, options: ShardOptions): Promise<void> {
    await this.#committer.submit((batch) => {
      const known = this.#shards.find(ref);
      if (known !== undefined && !known.isDropped) return;
      const shard = this.#shards.hold(ref, this.#newRow(ref, options));
      this.#shards.writeRow(batch, shard);
      this.#shards.writeBirth(batch, shard);
      for (const lane of options.lanes ?? []) this.#writeLane(batch, shard.decided.no, lane);
      batch.onDurable(() => {
        shard.isVisible = true;
      });
      batch.onFailed(() => this.#shards.restore(ref, known));
    });
  }

  async closeShard(ref: ShardRef): Promise<{ last: Position | null; lanes: LaneRow[] }> {
    await this.#committer.submit((batch) => {
      const shard = this.#shards.decided(ref);
      if (shard.decided.closed) return;
      this.#shards.decide(batch, shard, { ...shard.decided, closed: true });
      this.#shards.writeRow(batch, shard);
    });
    const { last } = this.#bounds(ref);
    return { last, lanes: this.#shards.lanesOf(this.#shards.seen(ref).visible.no) };
  }

  async dropShard(ref: ShardRef): Promise<void> {
    const no = await this.#committer.submit((batch) => {
      const shard = this.#shards.find(ref);
      if (shard === undefined || shard.isDropped) return null;
      batch.del(this.#tables.shards, shardKey(ref));
      batch.del(this.#tables.births, birthKey(shard.decided.no));
      // Its blocks go later; until then its number must not be given again.
      batch.put(this.#tables.dropped, noKey(shard.decided.no), Buffer.of(1));
      shard.isDropped = true;
      batch.onDurable(() => this.#shards.forget(shard));
      batch.onFailed(() => {
        shard.isDropped = false;
      });
      return shard.decided.no;
    });
    if (no !== null) await this.#purge.purgeDropped([no]);
  }

  async setRetention(ref: ShardRef, retentionMs: number): Promise<void> {
    assert(retentionMs > 0, 'a retention is positive');
    await this.#committer.submit((batch) => {
      const shard = this.#shards.decided(ref);
      this.#dropExpired(batch, shard);
      this.#shards.decide(batch, shard, { ...shard.decided, retentionMs });
      this.#shards.writeRow(batch, shard);
    });
  }

  async append(ref: ShardRef, input: AppendInput): Promise<AppendResult> {
    if (input.block.length > STORED_BLOCK_BYTES_MAX) {
      const text = `a block is at most ${STORED_BLOCK_BYTES_MAX} bytes, this one has ${input.block.length}`;
      throw new TributaryError('BLOCK_TOO_LARGE', text);
    }
    assert(input.block.length > 0, 'a block has bytes');
    assert((input.note?.length ?? 0) <= NOTE_BYTES_MAX, 'a note is bounded');
    assert(input.recordCount >= 1 && input.recordCount <= BLOCK_RECORDS_MAX, 'a block has 1..65,535 records');
    assert((input.lane?.tag.length ?? 0) <= LANE_TAG_BYTES_MAX, 'a lane tag is bounded');
    return this.#committer.submit((batch) => this.#append(batch, this.#shards.decided(ref), input));
  }

  async lane(ref: ShardRef, lane: string): Promise<LaneState | null> {
    const stored = this.#tables.lanes.get(laneKey(this.#shards.seen(ref).visible.no, lane));
    return stored === undefined ? null : decodeLane(stored);
  }

  async trim(
    ref: ShardRef,
    position: Position,
    changes: readonly MetaChange[] = [],
  ): Promise<{ blocks: number; records: number; bytes: number }> {
    const shard = this.#shards.seen(ref);
    const { blocks, visible } = shard;
    const from = this.#horizon(shard);
    const to = blocks.commitFrom(visible, position);
    if (to <= from) {
      if (changes.length > 0) this.#purge.stageHead(shard, from, changes);
      return { blocks: 0, records: 0, bytes: 0 };
    }
    const before = blocks.countsBefore(visible, from);
    const after = blocks.countsBefore(visible, to);
    // Readers stop seeing it at once; the disk follows with the next commits.
    shard.visible = { ...visible, first: to };
    this.#purge.stageHead(shard, to, changes);
    return {
      blocks: Number(to - from),
      records: after.records - before.records,
      bytes: after.bytes - before.bytes,
    };
  }

  async bounds(ref: ShardRef): Promise<ShardBounds> {
    return this.#bounds(ref);
  }

  async seekTime(ref: ShardRef, ms: number): Promise<Position> {
    const shard = this.#shards.seen(ref);
    return shard.blocks.seekTime(shard.visible, this.#horizon(shard), ms);
  }

  async seekOrdinal(ref: ShardRef, ordinal: bigint): Promise<Position> {
    const shard = this.#shards.seen(ref);
    return shard.blocks.seekOrdinal(shard.visible, this.#horizon(shard), ordinal);
  }

  async readBlocks(ref: ShardRef, from: Position, max: PageBounds): Promise<BlockPage> {
    const shard = this.#shards.seen(ref);
    return shard.blocks.page(shard.visible, this.#horizon(shard), from, max);
  }

  tail(ref: ShardRef, from: Position, signal: AbortSignal): AsyncIterable<BlockPage> {
    const { changes } = this.#shards.seen(ref);
    return tailShard((at) => this.readBlocks(ref, at, TAIL_PAGE), changes, from, signal);
  }

  #newRow(ref: ShardRef, options: ShardOptions): ShardRow {
    const after = positionParts(options.after ?? START_POSITION);
    return newShardRow({
      no: this.#shards.nextNo(),
      streamName: options.streamName ?? ref.streamId,
      epoch: after.epoch > this.#epoch ? after.epoch : this.#epoch,
      retentionMs: options.retentionMs,
      first: after.commit + 1n,
    });
  }

  #bounds(ref: ShardRef): ShardBounds {
    const shard = this.#shards.seen(ref);
    const row = shard.visible;
    const first = this.#horizon(shard);
    const kept = shard.blocks.keptEnds(row, first);
    const before = shard.blocks.countsBefore(row, first);
    const lost = lostFrom(row, first);
    return {
      first: kept === null ? null : positionAt(row.epochs, kept.first, 0),
      last: kept === null ? null : positionAt(row.epochs, kept.last, kept.lastRecordCount - 1),
      next: positionAt(row.epochs, row.next, 0),
      lastArrivalMs: row.lastArrivalMs ?? 0,
      closed: row.closed,
      records: row.cumulativeRecords - before.records - lost.records,
      bytes: row.cumulativeBytes - before.bytes - lost.bytes,
      totalRecords: row.cumulativeRecords,
      recordsBefore: before.records,
      lostRecords: row.lostRecords,
    };
  }

  #horizon(shard: Shard): bigint {
    return shard.blocks.horizon(shard.visible, this.#clock.wallMs());
  }

  #append(batch: Batch, shard: Shard, input: AppendInput): AppendResult {
    const row = shard.decided;
    if (row.closed) {
      const text = `shard ${shard.ref.shardId} is closed; its children take its records`;
      throw new TributaryError('SHARD_CLOSED', text);
    }
    const known = input.lane === undefined ? null : this.#judge(batch, row, input.lane);
    if (known !== null) return { first: known, arrivalMs: row.lastArrivalMs ?? 0, duplicate: true };
    const { arrivalMs, segment } = nextArrival(row.lastArrivalMs, this.#clock.wallMs(), row.next);
    const counts = {
      cumulativeRecords: row.cumulativeRecords + input.recordCount,
      cumulativeBytes: row.cumulativeBytes + input.block.length,
    };
    const home = {
      shardNo: row.no,
      shardTag: shard.tag,
      commit: row.next,
      laneHash: laneHash(input.lane?.lane),
    };
    const stored = wrapBlock(
      { ...counts, recordCount: input.recordCount, arrivalMs },
      home,
      input.block,
      input.note,
    );
    batch.append(shard.blocks.table, blockKey(row.no, row.next), stored);
    if (input.lane !== undefined) {
      const position = positionAt(row.epochs, row.next, input.recordCount - 1);
      this.#writeLane(batch, row.no, { ...input.lane, position });
    }
    for (const change of input.with ?? []) this.#meta.change(batch, change);
    // The last that may throw: behind it the shard changes.
    const horizon = this.#lastingFrom(shard);
    this.#shards.decide(batch, shard, {
      ...row,
      ...counts,
      next: row.next + 1n,
      lastArrivalMs: arrivalMs,
      lastRecordCount: input.recordCount,
      segments: segment === null ? row.segments : [...row.segments, segment],
    });
    if (segment !== null) this.#shards.writeRow(batch, shard);
    if (horizon > row.oldest) this.#purge.dropHead(batch, shard, horizon);
    return { first: positionAt(row.epochs, row.next, 0), arrivalMs, duplicate: false };
  }

  #dropExpired(batch: Batch, shard: Shard): void {
    const horizon = this.#lastingFrom(shard);
    if (horizon > shard.decided.oldest) this.#purge.dropHead(batch, shard, horizon);
  }

  /** Oldest commit that has not expired by the clock that deletes; of what is not durable yet nothing has. */
  #lastingFrom(shard: Shard): bigint {
    return shard.blocks.horizon(shard.visible, this.#retention.nowMs(), shard.decided.retentionMs);
  }

  #writeLane(batch: Batch, no: number, lane: LaneRow): void {
    const key = laneKey(no, lane.lane);
    if (batch.get(this.#tables.lanes, key) === undefined)
      batch.put(this.#tables.births, laneBirthKey(key), LANE_BIRTH);
    batch.put(this.#tables.lanes, key, encodeLane(lane));
  }

  /** Where the lane ends when it has all of the offer, null when the offer is the next one. */
  #judge(batch: Batch, row: ShardRow, lane: LaneAppend): Position | null {
    const stored = batch.get(this.#tables.lanes, laneKey(row.no, lane.lane));
    const state = stored === undefined ? null : decodeLane(stored);
    const after = lane.after ?? 0n;
    const have = state !== null && state.last > after ? state.last : after;
    const offer = judgeOffer(have, lane.first, lane.last);
    if (offer.kind === 'next') return null;
    if (offer.kind === 'duplicate') return state?.position ?? START_POSITION;
    const text = `lane ${lane.lane} has ${have}; ${lane.first}..${lane.last} does not follow`;
    throw new TributaryError(offer.kind === 'gap' ? 'LANE_GAP' : 'LANE_OVERLAP', text, { details: { have } });
  }
}

/**
 * Where the running time goes on. What was noted is at most AGE_NOTED_MS behind; an arrival far ahead of it, or of the clock
 * when nothing was noted yet, was stamped by a clock that was wrong, and must not age everything else.
 */
function runningStart(newestMs: number, notedMs: number, wallMs: number): number {
  if (newestMs === -Infinity && notedMs === -Infinity) return wallMs;
  if (notedMs === -Infinity) return Math.min(newestMs, wallMs);
  return newestMs <= notedMs + 2 * AGE_NOTED_MS ? Math.max(newestMs, notedMs) : notedMs;
}

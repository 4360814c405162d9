// ShardLog on LMDB. A shard's row has two versions in memory: what decisions see (with the batch under way) and what
// readers see (durable only).
import { TributaryError, assert } from '../stream/errors.ts';
import { LANE_TAG_BYTES_MAX, STORED_BLOCK_BYTES_MAX } from '../stream/limits.ts';
import { AFTER_BLOCK_INDEX, positionParts, toPosition } from '../stream/position.ts';
import type { Position } from '../stream/position.ts';
import { judgeOffer } from '../stream/lane.ts';
import type {
  AppendInput,
  AppendResult,
  BlockPage,
  Clock,
  LaneAppend,
  LaneRow,
  LaneState,
  ShardBounds,
  ShardLog,
  ShardOptions,
  ShardRef,
  StoredBlock,
} from '../stream/ports.ts';
import { ChangeSignal } from './change-signal.ts';
import type { Batch, Committer } from './committer.ts';
import type { LmdbMeta, MetaTable } from './lmdb-meta.ts';
import { tailShard } from './shard-tail.ts';
import { decodeShardRow, encodeShardRow } from './shard-row.ts';
import type { ShardRow } from './shard-row.ts';
import { readEnvelope, unwrapBlock, wrapBlock } from './stored-block.ts';
import { effectiveArrival, nextArrival } from './time-segments.ts';

export interface LogTables {
  readonly shards: MetaTable;
  readonly lanes: MetaTable;
  /** Blocks of a shard, by its number. */
  blocksOf(shardNo: number): MetaTable;
}

interface Held {
  readonly ref: ShardRef;
  decided: ShardRow;
  visible: ShardRow;
  /** Gone or not yet there, as readers see it. */
  isVisible: boolean;
  isDropped: boolean;
  readonly changes: ChangeSignal;
}

/** Expired blocks deleted in one commit, so that a long backlog never makes one commit long. */
const EXPIRED_PER_COMMIT_MAX = 64;
const DROPPED_PER_COMMIT_MAX = 1_000;
const LANE_PAGE = 1_000;

export class LmdbShardLog implements ShardLog {
  readonly caps = { durability: 'disk', blockBytesMax: STORED_BLOCK_BYTES_MAX } as const;
  readonly #committer: Committer;
  readonly #tables: LogTables;
  readonly #meta: LmdbMeta;
  readonly #clock: Clock;
  readonly #shards = new Map<string, Held>();
  #nextNo = 1;

  constructor(committer: Committer, tables: LogTables, meta: LmdbMeta, clock: Clock) {
    this.#committer = committer;
    this.#tables = tables;
    this.#meta = meta;
    this.#clock = clock;
  }

  /** Reads every shard's row and newest block. */
  load(): void {
    for (const { key, value } of allRows(this.#tables.shards)) {
      const [streamId = '', shardId = ''] = Buffer.from(key).toString('utf8').split('\0');
      const row = this.#recover(decodeShardRow(value));
      this.#nextNo = Math.max(this.#nextNo, row.no + 1);
      this.#hold({ streamId, shardId }, row, true);
    }
  }

  async createShard(ref: ShardRef, options: ShardOptions): Promise<void> {
    await this.#committer.submit((batch) => {
      const known = this.#shards.get(nameOf(ref));
      if (known !== undefined && !known.isDropped) return;
      const after = positionParts(options.after ?? toPosition(1n, 0n, 0));
      const row: ShardRow = {
        no: this.#nextNo,
        epoch: after.epoch > 1n ? after.epoch : 1n,
        closed: false,
        retentionMs: options.retentionMs,
        first: after.commit + 1n,
        next: after.commit + 1n,
        lastArrivalMs: null,
        lastRecordCount: 0,
        cumulativeRecords: 0,
        cumulativeBytes: 0,
        segments: [],
      };
      this.#nextNo += 1;
      const held = this.#hold(ref, row, false);
      this.#writeRow(batch, held);
      for (const lane of options.lanes ?? [])
        batch.put(this.#tables.lanes, laneKey(row.no, lane.lane), encodeLane(lane));
      batch.onDurable(() => {
        held.isVisible = true;
      });
      batch.onFailed(() => this.#shards.delete(nameOf(ref)));
    });
  }

  async closeShard(ref: ShardRef): Promise<{ last: Position | null; lanes: LaneRow[] }> {
    await this.#committer.submit((batch) => {
      const held = this.#decided(ref);
      if (held.decided.closed) return;
      this.#decide(batch, held, { ...held.decided, closed: true });
      this.#writeRow(batch, held);
    });
    const { last } = await this.bounds(ref);
    return { last, lanes: this.#lanesOf(this.#seen(ref).visible.no) };
  }

  async dropShard(ref: ShardRef): Promise<void> {
    const held = this.#shards.get(nameOf(ref));
    if (held === undefined || held.isDropped) return;
    held.isDropped = true;
    held.changes.raise();
    const { no } = held.decided;
    const blocks = this.#tables.blocksOf(no);
    for (;;) {
      const keys = blocks
        .range(blockKey(no, 0n), DROPPED_PER_COMMIT_MAX)
        .filter(({ key }) => noOf(key) === no);
      if (keys.length === 0) break;
      await this.#committer.submit((batch) => keys.forEach(({ key }) => batch.del(blocks, key)));
    }
    await this.#committer.submit((batch) => {
      for (const { lane } of this.#lanesOf(no)) batch.del(this.#tables.lanes, laneKey(no, lane));
      batch.del(this.#tables.shards, Buffer.from(nameOf(ref)));
    });
    if (this.#shards.get(nameOf(ref)) === held) this.#shards.delete(nameOf(ref));
  }

  async setRetention(ref: ShardRef, retentionMs: number): Promise<void> {
    await this.#committer.submit((batch) => {
      const held = this.#decided(ref);
      this.#decide(batch, held, { ...held.decided, retentionMs });
      this.#writeRow(batch, held);
    });
  }

  append(ref: ShardRef, input: AppendInput): Promise<AppendResult> {
    if (input.block.length > STORED_BLOCK_BYTES_MAX) {
      const text = `a block is at most ${STORED_BLOCK_BYTES_MAX} bytes, this one has ${input.block.length}`;
      return Promise.reject(new TributaryError('BLOCK_TOO_LARGE', text));
    }
    assert((input.lane?.tag.length ?? 0) <= LANE_TAG_BYTES_MAX, 'a lane tag is bounded');
    return this.#committer.submit((batch) => this.#append(batch, this.#decided(ref), input));
  }

  lane(ref: ShardRef, lane: string): Promise<LaneState | null> {
    const stored = this.#tables.lanes.get(laneKey(this.#seen(ref).visible.no, lane));
    return Promise.resolve(stored === undefined ? null : decodeLane(stored));
  }

  async trim(ref: ShardRef, position: Position): Promise<{ blocks: number; records: number; bytes: number }> {
    const { visible } = this.#seen(ref);
    const to = smaller(commitAt(visible, position), visible.next);
    const before = this.#countsBefore(visible, visible.first);
    const after = this.#countsBefore(visible, to > visible.first ? to : visible.first);
    if (to <= visible.first) return { blocks: 0, records: 0, bytes: 0 };
    this.#committer.stage((batch) => {
      const held = this.#shards.get(nameOf(ref));
      if (held !== undefined && !held.isDropped) this.#dropHead(batch, held, to);
    });
    // Readers stop seeing it at once; the disk follows with the next commit.
    const held = this.#seen(ref);
    held.visible = { ...held.visible, first: to };
    return Promise.resolve({
      blocks: Number(to - visible.first),
      records: after.records - before.records,
      bytes: after.bytes - before.bytes,
    });
  }

  bounds(ref: ShardRef): Promise<ShardBounds> {
    const { visible } = this.#seen(ref);
    const first = this.#horizon(visible);
    const isEmpty = first >= visible.next;
    const before = this.#countsBefore(visible, first);
    return Promise.resolve({
      first: isEmpty ? null : toPosition(visible.epoch, first, 0),
      last: isEmpty ? null : toPosition(visible.epoch, visible.next - 1n, visible.lastRecordCount - 1),
      next: toPosition(visible.epoch, visible.next, 0),
      lastArrivalMs: visible.lastArrivalMs ?? 0,
      closed: visible.closed,
      records: visible.cumulativeRecords - before.records,
      bytes: visible.cumulativeBytes - before.bytes,
      totalRecords: visible.cumulativeRecords,
    });
  }

  seekOrdinal(ref: ShardRef, ordinal: bigint): Promise<Position> {
    const { visible } = this.#seen(ref);
    let low = this.#horizon(visible);
    let high = visible.next;
    while (low < high) {
      const middle = (low + high) / 2n;
      if (BigInt(this.#envelope(visible, middle).cumulativeRecords) < ordinal) low = middle + 1n;
      else high = middle;
    }
    if (low >= visible.next) return Promise.resolve(toPosition(visible.epoch, visible.next, 0));
    const { cumulativeRecords, recordCount } = this.#envelope(visible, low);
    const before = cumulativeRecords - recordCount;
    return Promise.resolve(toPosition(visible.epoch, low, Math.max(0, Number(ordinal) - before - 1)));
  }

  seekTime(ref: ShardRef, ms: number): Promise<Position> {
    const { visible } = this.#seen(ref);
    const first = this.#horizon(visible);
    for (const [index, segment] of visible.segments.entries()) {
      const start = segment.commit > first ? segment.commit : first;
      const end = visible.segments[index + 1]?.commit ?? visible.next;
      if (start >= end || this.#envelope(visible, end - 1n).arrivalMs < ms) continue;
      return Promise.resolve(toPosition(visible.epoch, this.#search(visible, start, end, ms), 0));
    }
    return Promise.resolve(toPosition(visible.epoch, visible.next, 0));
  }

  readBlocks(ref: ShardRef, from: Position, max: { blocks: number; bytes: number }): Promise<BlockPage> {
    const { visible } = this.#seen(ref);
    const first = this.#horizon(visible);
    let commit = commitAt(visible, from);
    if (commit < first) commit = first;
    else if (commit < visible.next && this.#isBehindBlock(visible, commit, from)) commit += 1n;
    const blocks: StoredBlock[] = [];
    let bytes = 0;
    for (; commit < visible.next && blocks.length < max.blocks && bytes < max.bytes; commit += 1n) {
      const stored = this.#block(visible, commit);
      bytes += stored.block.length;
      if (blocks.length > 0 && bytes > max.bytes) break;
      blocks.push(stored);
    }
    const hasMore = commit < visible.next;
    return Promise.resolve({
      blocks,
      next: toPosition(visible.epoch, commit, 0),
      nextArrivalMs: hasMore ? this.#envelope(visible, commit).arrivalMs : null,
      closedEnd: visible.closed && !hasMore,
    });
  }

  tail(ref: ShardRef, from: Position, signal: AbortSignal): AsyncIterable<BlockPage> {
    const max = { blocks: 100, bytes: 4 * 1024 * 1024 };
    return tailShard((at) => this.readBlocks(ref, at, max), this.#seen(ref).changes, from, signal);
  }

  #append(batch: Batch, held: Held, input: AppendInput): AppendResult {
    const row = held.decided;
    if (row.closed)
      throw new TributaryError(
        'SHARD_CLOSED',
        `shard ${held.ref.shardId} is closed; its children take its records`,
      );
    const known = input.lane === undefined ? null : this.#judge(batch, row, input.lane);
    if (known !== null) return { first: known.position, arrivalMs: row.lastArrivalMs ?? 0, duplicate: true };
    const { arrivalMs, segment } = nextArrival(row.lastArrivalMs, this.#clock.wallMs(), row.next);
    const envelope = {
      recordCount: input.recordCount,
      arrivalMs,
      cumulativeRecords: row.cumulativeRecords + input.recordCount,
      cumulativeBytes: row.cumulativeBytes + input.block.length,
    };
    const first = toPosition(row.epoch, row.next, 0);
    batch.put(this.#tables.blocksOf(row.no), blockKey(row.no, row.next), wrapBlock(envelope, input.block));
    if (input.lane !== undefined) {
      const last = toPosition(row.epoch, row.next, input.recordCount - 1);
      batch.put(
        this.#tables.lanes,
        laneKey(row.no, input.lane.lane),
        encodeLane({ ...input.lane, position: last }),
      );
    }
    for (const change of input.with ?? []) this.#meta.change(batch, change);
    this.#decide(batch, held, {
      ...row,
      next: row.next + 1n,
      lastArrivalMs: arrivalMs,
      lastRecordCount: input.recordCount,
      cumulativeRecords: envelope.cumulativeRecords,
      cumulativeBytes: envelope.cumulativeBytes,
      segments: segment === null ? row.segments : [...row.segments, segment],
    });
    if (segment !== null) this.#writeRow(batch, held);
    this.#dropExpired(batch, held);
    return { first, arrivalMs, duplicate: false };
  }

  /** The lane's state when the offer is known already, null when it is the next one. */
  #judge(batch: Batch, row: ShardRow, lane: LaneAppend): LaneState | null {
    const stored = batch.get(this.#tables.lanes, laneKey(row.no, lane.lane));
    const state = stored === undefined ? null : decodeLane(stored);
    const have = larger(state?.last ?? 0n, lane.after ?? 0n);
    const offer = judgeOffer(have, lane.first, lane.last);
    if (offer.kind === 'next') return null;
    if (offer.kind === 'duplicate') return state;
    const text = `lane ${lane.lane} has ${have}; ${lane.first}..${lane.last} does not follow`;
    throw new TributaryError(offer.kind === 'gap' ? 'LANE_GAP' : 'LANE_OVERLAP', text, { details: { have } });
  }

  #dropExpired(batch: Batch, held: Held): void {
    const { visible } = held;
    if (visible.retentionMs === Infinity) return;
    const horizon = smaller(this.#horizon(visible), visible.first + BigInt(EXPIRED_PER_COMMIT_MAX));
    if (horizon > visible.first) this.#dropHead(batch, held, horizon);
  }

  #dropHead(batch: Batch, held: Held, to: bigint): void {
    const blocks = this.#tables.blocksOf(held.decided.no);
    for (let commit = held.decided.first; commit < to; commit += 1n)
      batch.del(blocks, blockKey(held.decided.no, commit));
    if (to <= held.decided.first) return;
    this.#decide(batch, held, { ...held.decided, first: to });
    this.#writeRow(batch, held);
  }

  #decide(batch: Batch, held: Held, row: ShardRow): void {
    const before = held.decided;
    held.decided = row;
    batch.onDurable(() => {
      // A trim may have moved what readers see further than this decision knew.
      const first = held.visible.first > row.first ? held.visible.first : row.first;
      held.visible = { ...row, first };
      held.changes.raise();
    });
    batch.onFailed(() => {
      held.decided = before;
    });
  }

  #writeRow(batch: Batch, held: Held): void {
    batch.put(this.#tables.shards, Buffer.from(nameOf(held.ref)), encodeShardRow(held.decided));
  }

  #hold(ref: ShardRef, row: ShardRow, isVisible: boolean): Held {
    const held = {
      ref,
      decided: row,
      visible: row,
      isVisible,
      isDropped: false,
      changes: new ChangeSignal(),
    };
    this.#shards.set(nameOf(ref), held);
    return held;
  }

  #decided(ref: ShardRef): Held {
    const held = this.#shards.get(nameOf(ref));
    if (held !== undefined && !held.isDropped) return held;
    throw new TributaryError('SHARD_NOT_FOUND', `there is no shard ${ref.shardId} of stream ${ref.streamId}`);
  }

  #seen(ref: ShardRef): Held {
    const held = this.#decided(ref);
    if (held.isVisible) return held;
    throw new TributaryError('SHARD_NOT_FOUND', `there is no shard ${ref.shardId} of stream ${ref.streamId}`);
  }

  /** The row as the newest block says it is: appends do not write rows. */
  #recover(row: ShardRow): ShardRow {
    let next = row.next;
    // Blocks are contiguous, so the end is where the doubling search first misses.
    for (let step = 1n; step > 0n;) {
      if (this.#raw(row, next + step - 1n) === undefined) {
        if (step === 1n) break;
        step = 1n;
      } else {
        next += step;
        step *= 2n;
      }
    }
    if (next === row.next) return row;
    const newest = this.#envelope({ ...row, next }, next - 1n);
    return {
      ...row,
      next,
      lastArrivalMs: newest.arrivalMs,
      lastRecordCount: newest.recordCount,
      cumulativeRecords: newest.cumulativeRecords,
      cumulativeBytes: newest.cumulativeBytes,
    };
  }

  /** Oldest commit that has not expired. */
  #horizon(row: ShardRow): bigint {
    if (row.retentionMs === Infinity) return row.first;
    const oldestMs = this.#clock.wallMs() - row.retentionMs;
    let low = row.first;
    let high = row.next;
    // Effective arrivals never decrease, so the horizon is found by halving.
    while (low < high) {
      const middle = (low + high) / 2n;
      if (effectiveArrival(row.segments, middle, this.#envelope(row, middle).arrivalMs) < oldestMs)
        low = middle + 1n;
      else high = middle;
    }
    return low;
  }

  #search(row: ShardRow, start: bigint, end: bigint, ms: number): bigint {
    let low = start;
    let high = end;
    while (low < high) {
      const middle = (low + high) / 2n;
      if (this.#envelope(row, middle).arrivalMs < ms) low = middle + 1n;
      else high = middle;
    }
    return low;
  }

  #countsBefore(row: ShardRow, commit: bigint): { records: number; bytes: number } {
    if (commit >= row.next) return { records: row.cumulativeRecords, bytes: row.cumulativeBytes };
    const stored = this.#block(row, commit);
    return {
      records: stored.cumulativeRecords - stored.recordCount,
      bytes: stored.cumulativeBytes - stored.block.length,
    };
  }

  #isBehindBlock(row: ShardRow, commit: bigint, from: Position): boolean {
    const { epoch, index } = positionParts(from);
    if (epoch !== row.epoch || index === 0) return false;
    return index === AFTER_BLOCK_INDEX || index >= this.#envelope(row, commit).recordCount;
  }

  #envelope(row: ShardRow, commit: bigint): ReturnType<typeof readEnvelope> {
    return readEnvelope(this.#stored(row, commit));
  }

  #block(row: ShardRow, commit: bigint): StoredBlock {
    const stored = this.#stored(row, commit);
    return { ...readEnvelope(stored), first: toPosition(row.epoch, commit, 0), block: unwrapBlock(stored) };
  }

  #stored(row: ShardRow, commit: bigint): Uint8Array {
    const stored = this.#raw(row, commit);
    if (stored !== undefined) return stored;
    throw new TributaryError(
      'STORAGE_FAILED',
      `block ${commit} of shard number ${row.no} is missing; verify the store`,
    );
  }

  #raw(row: ShardRow, commit: bigint): Uint8Array | undefined {
    return this.#tables.blocksOf(row.no).get(blockKey(row.no, commit));
  }

  #lanesOf(no: number): LaneRow[] {
    const lanes: LaneRow[] = [];
    for (const { key, value } of allRows(this.#tables.lanes, blockKey(no, 0n).subarray(0, 4))) {
      if (noOf(key) !== no) break;
      lanes.push({ lane: Buffer.from(key).toString('utf8', 4), ...decodeLane(value) });
    }
    return lanes;
  }
}

function* allRows(
  table: MetaTable,
  from: Uint8Array = Buffer.of(0),
): Generator<{ key: Uint8Array; value: Uint8Array }> {
  let start = from;
  for (;;) {
    const rows = table.range(start, LANE_PAGE);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < LANE_PAGE) return;
    start = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

/** The commit a position means in this shard; positions of older epochs mean its start, of newer ones its end. */
function commitAt(row: ShardRow, position: Position): bigint {
  const { epoch, commit } = positionParts(position);
  if (epoch < row.epoch) return row.first;
  return epoch > row.epoch ? row.next : smaller(commit, row.next);
}

function blockKey(no: number, commit: bigint): Buffer {
  const key = Buffer.allocUnsafe(12);
  key.writeUInt32BE(no, 0);
  key.writeBigUInt64BE(commit, 4);
  return key;
}

function noOf(key: Uint8Array): number {
  return Buffer.from(key).readUInt32BE(0);
}

function laneKey(no: number, lane: string): Buffer {
  return Buffer.concat([blockKey(no, 0n).subarray(0, 4), Buffer.from(lane)]);
}

function encodeLane(lane: { last: bigint; position: Position; tag: Uint8Array }): Uint8Array {
  const { epoch, commit, index } = positionParts(lane.position);
  const head = Buffer.alloc(26);
  head.writeBigUInt64BE(lane.last, 0);
  head.writeBigUInt64BE(epoch, 8);
  head.writeBigUInt64BE(commit, 16);
  head.writeUInt16BE(index, 24);
  return Buffer.concat([head, lane.tag]);
}

function decodeLane(stored: Uint8Array): LaneState {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const position = toPosition(bytes.readBigUInt64BE(8), bytes.readBigUInt64BE(16), bytes.readUInt16BE(24));
  return { last: bytes.readBigUInt64BE(0), position, tag: bytes.subarray(26) };
}

function nameOf(ref: ShardRef): string {
  return `${ref.streamId}\0${ref.shardId}`;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

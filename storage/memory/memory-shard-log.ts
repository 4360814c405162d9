// ShardLog in arrays: each question is answered by walking the blocks.
import { TributaryError } from '../../stream/errors.ts';
import { STORED_BLOCK_BYTES_MAX } from '../../stream/limits.ts';
import { judgeOffer } from '../../stream/lane.ts';
import { AFTER_BLOCK_INDEX, START_POSITION, positionParts, toPosition } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import type {
  AppendInput,
  AppendResult,
  BlockPage,
  Clock,
  LaneRow,
  LaneState,
  MetaChange,
  PageBounds,
  ShardBounds,
  ShardLog,
  ShardOptions,
  ShardRef,
  StoredBlock,
} from '../../stream/ports.ts';
import { ChangeSignal } from '../change-signal.ts';
import type { MemoryMeta } from './memory-meta.ts';
import type { MemoryDisk } from './memory-disk.ts';
import { tailShard } from '../shard-tail.ts';
import { effectiveArrival, nextArrival } from '../time-segments.ts';
import type { TimeSegment } from '../time-segments.ts';

interface MemoryShard {
  retentionMs: number;
  isClosed: boolean;
  /** Trimmed ones are taken out. */
  blocks: StoredBlock[];
  next: Position;
  lastArrivalMs: number | null;
  totalRecords: number;
  totalBytes: number;
  readonly segments: TimeSegment[];
  readonly lanes: Map<string, LaneState>;
  readonly changes: ChangeSignal;
}

export class MemoryShardLog implements ShardLog {
  readonly caps = { durability: 'memory', blockBytesMax: STORED_BLOCK_BYTES_MAX } as const;
  readonly #disk: MemoryDisk;
  readonly #meta: MemoryMeta;
  readonly #clock: Clock;
  readonly #shards = new Map<string, MemoryShard>();

  constructor(disk: MemoryDisk, meta: MemoryMeta, clock: Clock) {
    this.#disk = disk;
    this.#meta = meta;
    this.#clock = clock;
  }

  get bytes(): number {
    return [...this.#shards.values()].reduce((sum, shard) => sum + bytesOf(shard.blocks), 0);
  }

  async createShard(ref: ShardRef, options: ShardOptions): Promise<void> {
    this.#disk.checkWrite();
    if (this.#shards.has(keyOf(ref))) return;
    const after = positionParts(options.after ?? START_POSITION);
    this.#shards.set(keyOf(ref), {
      retentionMs: options.retentionMs,
      isClosed: false,
      blocks: [],
      next: toPosition(after.epoch > 1n ? after.epoch : 1n, after.commit + 1n, 0),
      lastArrivalMs: null,
      totalRecords: 0,
      totalBytes: 0,
      segments: [],
      lanes: new Map((options.lanes ?? []).map(({ lane, ...state }) => [lane, state])),
      changes: new ChangeSignal(),
    });
  }

  async closeShard(ref: ShardRef): Promise<{ last: Position | null; lanes: LaneRow[] }> {
    this.#disk.checkWrite();
    const shard = this.#shard(ref);
    shard.isClosed = true;
    shard.changes.raise();
    const lanes = [...shard.lanes].map(([lane, state]) => ({ lane, ...state }));
    return {
      last: lastOf(this.#kept(shard)),
      lanes: lanes.toSorted((a, b) => Buffer.compare(Buffer.from(a.lane), Buffer.from(b.lane))),
    };
  }

  async dropShard(ref: ShardRef): Promise<void> {
    this.#disk.checkWrite();
    this.#shards.get(keyOf(ref))?.changes.raise();
    this.#shards.delete(keyOf(ref));
  }

  async setRetention(ref: ShardRef, retentionMs: number): Promise<void> {
    this.#disk.checkWrite();
    const shard = this.#shard(ref);
    shard.blocks = this.#kept(shard);
    shard.retentionMs = retentionMs;
  }

  async append(ref: ShardRef, input: AppendInput): Promise<AppendResult> {
    if (input.block.length > STORED_BLOCK_BYTES_MAX) {
      const text = `a block is at most ${STORED_BLOCK_BYTES_MAX} bytes, this one has ${input.block.length}`;
      throw new TributaryError('BLOCK_TOO_LARGE', text);
    }
    this.#disk.checkWrite();
    const shard = this.#shard(ref);
    if (shard.isClosed) throw new TributaryError('SHARD_CLOSED', `shard ${ref.shardId} is closed`);
    const known = knownEnd(shard, input);
    if (known !== null) return { first: known, arrivalMs: shard.lastArrivalMs ?? 0, duplicate: true };
    for (const change of input.with ?? []) this.#meta.checkChange(change);
    const result = this.#store(shard, input);
    for (const change of input.with ?? []) this.#meta.apply(change);
    shard.changes.raise();
    return result;
  }

  async lane(ref: ShardRef, lane: string): Promise<LaneState | null> {
    return this.#shard(ref).lanes.get(lane) ?? null;
  }

  async trim(
    ref: ShardRef,
    position: Position,
    changes: readonly MetaChange[] = [],
  ): Promise<{ blocks: number; records: number; bytes: number }> {
    const shard = this.#shard(ref);
    for (const change of changes) this.#meta.checkChange(change);
    for (const change of changes) this.#meta.apply(change);
    const kept = this.#kept(shard);
    const gone = kept.filter((block) => isBefore(block, position));
    if (gone.length > 0) shard.blocks = kept.slice(gone.length);
    return { blocks: gone.length, records: recordsOf(gone), bytes: bytesOf(gone) };
  }

  async bounds(ref: ShardRef): Promise<ShardBounds> {
    const shard = this.#shard(ref);
    const kept = this.#kept(shard);
    return {
      first: kept[0]?.first ?? null,
      last: lastOf(kept),
      next: shard.next,
      lastArrivalMs: shard.lastArrivalMs ?? 0,
      closed: shard.isClosed,
      records: recordsOf(kept),
      bytes: bytesOf(kept),
      totalRecords: shard.totalRecords,
      recordsBefore: shard.totalRecords - recordsOf(kept),
      lostRecords: 0,
    };
  }

  async seekTime(ref: ShardRef, ms: number): Promise<Position> {
    const shard = this.#shard(ref);
    return this.#kept(shard).find((block) => block.arrivalMs >= ms)?.first ?? shard.next;
  }

  async seekOrdinal(ref: ShardRef, ordinal: bigint): Promise<Position> {
    const shard = this.#shard(ref);
    const block = this.#kept(shard).find(({ cumulativeRecords }) => BigInt(cumulativeRecords) >= ordinal);
    if (block === undefined) return shard.next;
    const index = Number(ordinal) - (block.cumulativeRecords - block.recordCount) - 1;
    const { epoch, commit } = positionParts(block.first);
    return toPosition(epoch, commit, Math.max(0, index));
  }

  async readBlocks(ref: ShardRef, from: Position, max: PageBounds): Promise<BlockPage> {
    const shard = this.#shard(ref);
    const unread = this.#kept(shard).filter((block) => !isBefore(block, from));
    let bytes = 0;
    const end = unread.findIndex((block, index) => {
      bytes += block.block.length;
      return index > 0 && (index >= max.blocks || bytes > max.bytes);
    });
    const blocks = end === -1 ? unread : unread.slice(0, end);
    const following = unread[blocks.length];
    return {
      blocks: blocks.map((stored) => ({
        ...stored,
        block: Uint8Array.from(stored.block),
        note: Uint8Array.from(stored.note),
      })),
      next: following?.first ?? shard.next,
      nextArrivalMs: following?.arrivalMs ?? null,
      closedEnd: shard.isClosed && following === undefined,
    };
  }

  tail(ref: ShardRef, from: Position, signal: AbortSignal): AsyncIterable<BlockPage> {
    const max = { blocks: 100, bytes: 4 * 1024 * 1024 };
    return tailShard((at) => this.readBlocks(ref, at, max), this.#shard(ref).changes, from, signal);
  }

  close(): void {
    for (const shard of this.#shards.values()) shard.changes.raise();
  }

  #shard(ref: ShardRef): MemoryShard {
    this.#disk.checkRead();
    const shard = this.#shards.get(keyOf(ref));
    if (shard !== undefined) return shard;
    throw new TributaryError('SHARD_NOT_FOUND', `there is no shard ${ref.shardId} of stream ${ref.streamId}`);
  }

  /** What is neither trimmed nor expired. */
  #kept(shard: MemoryShard): StoredBlock[] {
    const oldestMs = this.#clock.wallMs() - shard.retentionMs;
    return shard.blocks.filter(
      ({ first, arrivalMs }) =>
        effectiveArrival(shard.segments, positionParts(first).commit, arrivalMs) >= oldestMs,
    );
  }

  #store(shard: MemoryShard, input: AppendInput): AppendResult {
    const first = shard.next;
    const { epoch, commit } = positionParts(first);
    const { arrivalMs, segment } = nextArrival(shard.lastArrivalMs, this.#clock.wallMs(), commit);
    if (segment !== null) shard.segments.push(segment);
    shard.next = toPosition(epoch, commit + 1n, 0);
    shard.lastArrivalMs = arrivalMs;
    shard.totalRecords += input.recordCount;
    shard.totalBytes += input.block.length;
    // An append deletes what has expired, for good.
    shard.blocks = this.#kept(shard);
    shard.blocks.push({
      first,
      recordCount: input.recordCount,
      arrivalMs,
      cumulativeRecords: shard.totalRecords,
      cumulativeBytes: shard.totalBytes,
      storedBytes: input.block.length,
      block: Uint8Array.from(input.block),
      note: Uint8Array.from(input.note ?? []),
    });
    if (input.lane !== undefined) {
      const position = toPosition(epoch, commit, input.recordCount - 1);
      const { lane, last, tag } = input.lane;
      shard.lanes.set(lane, { last, position, tag: Uint8Array.from(tag) });
    }
    return { first, arrivalMs, duplicate: false };
  }
}

/** Where a lane ends that has all of the input; null when the input is to be stored. */
function knownEnd(shard: MemoryShard, { lane }: AppendInput): Position | null {
  if (lane === undefined) return null;
  const state = shard.lanes.get(lane.lane);
  const have = [state?.last ?? 0n, lane.after ?? 0n].reduce((a, b) => (a > b ? a : b));
  const offer = judgeOffer(have, lane.first, lane.last);
  if (offer.kind === 'next') return null;
  if (offer.kind === 'duplicate') return state?.position ?? START_POSITION;
  const code = offer.kind === 'gap' ? 'LANE_GAP' : 'LANE_OVERLAP';
  throw new TributaryError(code, `lane ${lane.lane} has ${have}`, { details: { have } });
}

/** Whether everything of the block lies before the position. */
function isBefore(block: StoredBlock, position: Position): boolean {
  const at = positionParts(position);
  const { epoch, commit } = positionParts(block.first);
  if (at.epoch !== epoch) return at.epoch > epoch;
  if (at.commit !== commit) return at.commit > commit;
  return at.index === AFTER_BLOCK_INDEX || at.index >= block.recordCount;
}

function lastOf(blocks: readonly StoredBlock[]): Position | null {
  const last = blocks.at(-1);
  if (last === undefined) return null;
  const { epoch, commit } = positionParts(last.first);
  return toPosition(epoch, commit, last.recordCount - 1);
}

function recordsOf(blocks: readonly StoredBlock[]): number {
  return blocks.reduce((sum, block) => sum + block.recordCount, 0);
}

function bytesOf(blocks: readonly StoredBlock[]): number {
  return blocks.reduce((sum, { block }) => sum + block.length, 0);
}

function keyOf(ref: ShardRef): string {
  return `${ref.streamId}\0${ref.shardId}`;
}

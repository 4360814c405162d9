// Records in, records out, above any ShardLog: group commit into blocks, and reading from mid-block.
// While one commit is under way the next one gathers, so a block holds everything that waited for its log.
import { decodeBlock, encodeBlock, recordBytesInBlock } from '../stream/block.ts';
import { parseHeader } from '../stream/block-header.ts';
import { TributaryError, assert } from '../stream/errors.ts';
import { PENDING_BYTES_MAX, READ_BYTES_MAX, READ_RECORDS_MAX, RECORD_BYTES_MAX } from '../stream/limits.ts';
import { AFTER_BLOCK_INDEX, nextPosition, positionParts, toPosition } from '../stream/position.ts';
import type { Position } from '../stream/position.ts';
import type {
  Clock,
  Digest,
  LaneAppend,
  MetaChange,
  ShardLog,
  ShardRef,
  StoredBlock,
} from '../stream/ports.ts';
import { recordBytes } from '../stream/record.ts';
import type { ClockSyncState, RecordClass, RecordInput, TimedRecord } from '../stream/record.ts';
import { cutIntoBlocks } from './block-builder.ts';
import type { RunIdentity } from './run-identity.ts';

export interface StoredRecord extends TimedRecord {
  readonly position: Position;
  readonly arrivalMs: number;
}

export interface RecordPage {
  readonly records: readonly StoredRecord[];
  readonly next: Position;
  /** Arrival of the first unread record, null at the tip. */
  readonly nextArrivalMs: number | null;
  readonly closedEnd: boolean;
}

export interface WriteOptions {
  readonly class: RecordClass;
  /** Number the records as a lane of this log: ordinals go on where the log's last block ended. */
  readonly isLane?: boolean;
  readonly with?: readonly MetaChange[];
}

export interface RecordLogOptions {
  readonly clockSync: () => ClockSyncState;
  readonly pendingBytesMax: number;
}

interface Waiter {
  readonly records: readonly TimedRecord[];
  readonly with: readonly MetaChange[];
  readonly resolve: (positions: Position[]) => void;
  readonly reject: (error: unknown) => void;
}

interface Queue {
  readonly ref: ShardRef;
  readonly class: RecordClass;
  readonly isLane: boolean;
  readonly waiters: Waiter[];
}

interface Batch {
  readonly records: readonly TimedRecord[];
  readonly with: readonly MetaChange[];
}

const DEFAULT_OPTIONS: RecordLogOptions = { clockSync: () => 'unknown', pendingBytesMax: PENDING_BYTES_MAX };

export class RecordLog {
  readonly #log: ShardLog;
  readonly #identity: RunIdentity;
  readonly #clock: Clock;
  readonly #digest: Digest;
  readonly #options: RecordLogOptions;
  #queues = new Map<string, Queue>();
  #pendingBytes = 0;
  #draining: Promise<void> | null = null;
  readonly #nextOrdinals = new Map<string, bigint>();

  constructor(log: ShardLog, identity: RunIdentity, clock: Clock, digest: Digest, options = DEFAULT_OPTIONS) {
    this.#log = log;
    this.#identity = identity;
    this.#clock = clock;
    this.#digest = digest;
    this.#options = options;
  }

  /** Records of this process that wait for their commit, in bytes. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Appends in order and resolves with one position per record when all are durable. Nothing of the call is stored
   * when it throws BUSY, RECORD_TOO_LARGE, SHARD_CLOSED or STORAGE_FULL.
   */
  async append(ref: ShardRef, records: readonly RecordInput[], options: WriteOptions): Promise<Position[]> {
    assert(records.length > 0, 'an append has records');
    const bytes = records.reduce((sum, record) => sum + checkedBytes(record), 0);
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#options.pendingBytesMax) {
      throw new TributaryError(
        'BUSY',
        `more than ${this.#options.pendingBytesMax} bytes wait for the disk; try again`,
      );
    }
    const monotonicUs = this.#clock.monotonicUs();
    const timed = records.map((record) => ({
      partitionKey: record.partitionKey,
      data: record.data,
      monotonicUs,
    }));
    this.#pendingBytes += bytes;
    try {
      return await new Promise<Position[]>((resolve, reject) => {
        this.#queueOf(ref, options).waiters.push({
          records: timed,
          with: options.with ?? [],
          resolve,
          reject,
        });
        this.#draining ??= this.#drain();
      });
    } finally {
      this.#pendingBytes -= bytes;
    }
  }

  /** Stores a block that came over the wire, byte for byte. The caller has decoded it whole. */
  async appendBlock(ref: ShardRef, block: Uint8Array, lane: LaneAppend): Promise<{ duplicate: boolean }> {
    const { recordCount } = parseHeader(block);
    return this.#log.append(ref, { block, recordCount, lane });
  }

  /** At least one record when any is there, though it be larger than `bytes`. */
  async read(ref: ShardRef, from: Position, max: { records: number; bytes: number }): Promise<RecordPage> {
    const bytesMax = Math.min(max.bytes, READ_BYTES_MAX);
    const recordsMax = Math.min(max.records, READ_RECORDS_MAX);
    const page = await this.#log.readBlocks(ref, from, { blocks: recordsMax, bytes: bytesMax });
    const records: StoredRecord[] = [];
    let bytes = 0;
    for (const stored of page.blocks) {
      for (const record of this.decode(stored, from, recordsMax - records.length)) {
        bytes += recordBytes(record);
        if (records.length > 0 && bytes > bytesMax) return partial(records, stored.arrivalMs);
        records.push(record);
      }
      const last = records.at(-1);
      if (last !== undefined && records.length === recordsMax && !endsBlock(last, stored)) {
        return partial(records, stored.arrivalMs);
      }
      if (records.length === recordsMax && stored !== page.blocks.at(-1))
        return partial(records, stored.arrivalMs);
    }
    return { records, next: page.next, nextArrivalMs: page.nextArrivalMs, closedEnd: page.closedEnd };
  }

  /** The records of a stored block at or behind `from`. */
  decode(stored: StoredBlock, from: Position, countMax: number): StoredRecord[] {
    const { epoch, commit } = positionParts(stored.first);
    const fromIndex = from <= stored.first ? 0 : positionParts(from).index;
    if (fromIndex === AFTER_BLOCK_INDEX || fromIndex >= stored.recordCount || countMax === 0) return [];
    const { records } = decodeBlock(stored.block, this.#digest, [], fromIndex, countMax);
    return records.map((record, offset) => ({
      ...record,
      position: toPosition(epoch, commit, fromIndex + offset),
      arrivalMs: stored.arrivalMs,
    }));
  }

  /** Resolves when everything appended so far is durable or refused. */
  async flush(): Promise<void> {
    await this.#draining;
  }

  #queueOf(ref: ShardRef, options: WriteOptions): Queue {
    const key = `${shardKey(ref)}\0${options.class}\0${options.isLane === true}`;
    const known = this.#queues.get(key);
    if (known !== undefined) return known;
    const queue = { ref, class: options.class, isLane: options.isLane === true, waiters: [] };
    this.#queues.set(key, queue);
    return queue;
  }

  async #drain(): Promise<void> {
    // One turn of the event loop, so that what arrives together is committed together.
    await new Promise(setImmediate);
    while (this.#queues.size > 0) {
      const queues = [...this.#queues.values()];
      this.#queues = new Map();
      await Promise.all(queues.map((queue) => this.#commit(queue)));
    }
    this.#draining = null;
  }

  async #commit(queue: Queue): Promise<void> {
    try {
      const first = queue.isLane ? await this.#nextOrdinal(queue.ref) : null;
      const batches = batchesOf(queue.waiters);
      const positions = await this.#appendAll(queue, batches, first);
      let at = 0;
      for (const waiter of queue.waiters) {
        waiter.resolve(positions.slice(at, at + waiter.records.length));
        at += waiter.records.length;
      }
    } catch (error) {
      this.#nextOrdinals.delete(shardKey(queue.ref));
      for (const waiter of queue.waiters) waiter.reject(error);
    }
  }

  async #appendAll(
    queue: Queue,
    batches: readonly Batch[],
    firstOrdinal: bigint | null,
  ): Promise<Position[]> {
    let ordinal = firstOrdinal;
    const results = batches.map(({ records, with: changes }) => {
      const block = this.#encode(queue.class, records, ordinal ?? 0n);
      if (ordinal !== null) ordinal += BigInt(records.length);
      return this.#log.append(queue.ref, { block, recordCount: records.length, with: changes });
    });
    const appended = await Promise.all(results);
    if (ordinal !== null) this.#nextOrdinals.set(shardKey(queue.ref), ordinal);
    return appended.flatMap(({ first }, index) => positionsOf(first, batches[index]?.records.length ?? 0));
  }

  #encode(recordClass: RecordClass, records: readonly TimedRecord[], firstOrdinal: bigint): Uint8Array {
    const frame = {
      class: recordClass,
      firstOrdinal,
      blockId: this.#identity.nextBlockId(),
      bootId: this.#identity.bootId,
      monotonicBaseUs: this.#clock.monotonicUs(),
      wallBaseMs: this.#clock.wallMs(),
      clockSync: this.#options.clockSync(),
    };
    return encodeBlock(frame, records, this.#digest);
  }

  /** Asked of the disk once, and again after a failed commit: what is stored decides, not what was tried. */
  async #nextOrdinal(ref: ShardRef): Promise<bigint> {
    const known = this.#nextOrdinals.get(shardKey(ref));
    if (known !== undefined) return known;
    const { last } = await this.#log.bounds(ref);
    if (last === null) return 1n;
    const page = await this.#log.readBlocks(ref, last, { blocks: 1, bytes: 1 });
    const newest = page.blocks[0];
    assert(newest !== undefined, 'the last block of a log can be read');
    const header = parseHeader(newest.block);
    return header.firstOrdinal + BigInt(header.recordCount);
  }
}

function batchesOf(waiters: readonly Waiter[]): Batch[] {
  const batches = cutIntoBlocks(waiters.flatMap((waiter) => waiter.records));
  const changes = waiters.flatMap((waiter) => waiter.with);
  // Side writes go with the last block: they must not be durable before the records they speak of.
  return batches.map((records, index) => ({ records, with: index === batches.length - 1 ? changes : [] }));
}

function positionsOf(first: Position, count: number): Position[] {
  const { epoch, commit } = positionParts(first);
  return Array.from({ length: count }, (_, index) => toPosition(epoch, commit, index));
}

function partial(records: readonly StoredRecord[], nextArrivalMs: number): RecordPage {
  const last = records.at(-1);
  assert(last !== undefined, 'a partial page has records');
  return { records, next: nextPosition(last.position), nextArrivalMs, closedEnd: false };
}

function endsBlock(record: StoredRecord, stored: StoredBlock): boolean {
  return positionParts(record.position).index === stored.recordCount - 1;
}

function checkedBytes(record: RecordInput): number {
  if (record.data.length <= RECORD_BYTES_MAX) return recordBytesInBlock(record);
  throw new TributaryError(
    'RECORD_TOO_LARGE',
    `a record is at most ${RECORD_BYTES_MAX} bytes, this one has ${record.data.length}`,
  );
}

function shardKey(ref: ShardRef): string {
  return `${ref.streamId}\0${ref.shardId}`;
}

// Records in, records out, above any ShardLog: group commit into blocks.
// While one commit is under way the next one gathers, so a block holds everything that waited for its log.
import { encodeBlock, recordBytesInBlock } from '../stream/block.ts';
import { malformed, parseHeader } from '../stream/block-header.ts';
import { TributaryError, assert, isTributaryError } from '../stream/errors.ts';
import { PARTITION_KEY_CHARACTERS_MAX, PENDING_BYTES_MAX, RECORD_BYTES_MAX } from '../stream/limits.ts';
import type { Position } from '../stream/position.ts';
import type { Clock, Codec, Digest, LaneAppend, MetaChange, ShardLog, ShardRef } from '../stream/ports.ts';
import type { ClockSyncState, RecordClass, RecordInput, TimedRecord } from '../stream/record.ts';
import { Linger } from './linger.ts';
import type { CommitPace } from './linger.ts';
import { checkValue } from './meta-entry.ts';
import type { PageMax, RecordPage } from './record-page.ts';
import { CALL_NOTE_BYTES_MAX, answerWaiters, batchesOf } from './record-queue.ts';
import type { AppendedPositions, RecordBatch, RecordQueue } from './record-queue.ts';
import { RecordReader } from './record-reader.ts';
import type { DamagedBlock } from './record-reader.ts';
import type { RunIdentity } from './run-identity.ts';
import { nameOf } from './shard-keys.ts';

export type { RecordPage, StoredRecord } from './record-page.ts';

export interface WriteOptions {
  readonly class: RecordClass;
  /** Number the records as a lane of this log: ordinals go on where the log's last block ended. */
  readonly isLane?: boolean;
  readonly with?: readonly MetaChange[];
  /** Kept beside the block that ends the call's records, behind the notes of the calls before it; 32 bytes at most. */
  readonly note?: Uint8Array;
  /** The caller cannot wait longer for company in the commit, whatever the pace allows. Default: it can. */
  readonly lingerMsMax?: number;
}

export interface RecordLogOptions {
  /** Absent: commits follow each other, each takes what waits. */
  readonly pace?: CommitPace;
  readonly clockSync: () => ClockSyncState;
  /** A commit met STORAGE_FULL: whether room was made, so that it should be tried again. Default: it is not. */
  readonly makeRoom?: (error: TributaryError) => Promise<boolean>;
  readonly pendingBytesMax: number;
  /** A block is damaged on the disk: its records are passed over, so that readers go on behind it. Told once for each. */
  readonly onDamaged?: (damaged: DamagedBlock) => void;
  /** Of new blocks; absent: stored as is. Blocks are read whatever they were written with. */
  readonly compression?: Codec | undefined;
}

const DEFAULT_OPTIONS: RecordLogOptions = { clockSync: () => 'unknown', pendingBytesMax: PENDING_BYTES_MAX };

export class RecordLog {
  readonly #log: ShardLog;
  readonly #identity: RunIdentity;
  readonly #clock: Clock;
  readonly #digest: Digest;
  readonly #options: RecordLogOptions;
  readonly #reader: RecordReader;
  #queues = new Map<string, RecordQueue>();
  readonly #linger: Linger;
  #pendingBytes = 0;
  #draining: Promise<void> | null = null;

  constructor(log: ShardLog, identity: RunIdentity, clock: Clock, digest: Digest, options = DEFAULT_OPTIONS) {
    this.#log = log;
    this.#identity = identity;
    this.#clock = clock;
    this.#digest = digest;
    this.#options = options;
    this.#linger = new Linger(clock, options.pace);
    this.#reader = new RecordReader(log, digest, options.onDamaged);
  }

  /** Records of this process that wait for their commit, in bytes. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Durable when resolved, with each record's position. One commit for everything that waits; records of one call are
   * contiguous, in order, all or none unless they are more than one block holds. The caller leaves the data alone until
   * then. Throws BUSY, RECORD_TOO_LARGE, META_VALUE_TOO_LARGE, SHARD_CLOSED or STORAGE_FULL.
   */
  async append(
    ref: ShardRef,
    records: readonly RecordInput[],
    options: WriteOptions,
  ): Promise<AppendedPositions> {
    assert(records.length > 0, 'an append has records');
    // What one caller does wrong must be found before its records share a block with others'.
    const noteBytes = options.note?.length ?? 0;
    assert(noteBytes <= CALL_NOTE_BYTES_MAX, 'the note of one call is bounded');
    const bytes = records.reduce((sum, record) => sum + checkedBytes(record), noteBytes);
    for (const { key, value } of options.with ?? []) if (value !== null) checkValue(key, value);
    this.#checkRoom();
    const monotonicUs = this.#clock.monotonicUs();
    const timed = records.map(({ partitionKey, data }) => ({ partitionKey, data, monotonicUs }));
    this.#pendingBytes += bytes;
    try {
      return await this.#enqueue(ref, timed, options);
    } finally {
      this.#pendingBytes -= bytes;
    }
  }

  /** Stores a block that came over the wire, byte for byte. The caller has decoded it whole. */
  async appendBlock(ref: ShardRef, block: Uint8Array, lane: LaneAppend): Promise<{ duplicate: boolean }> {
    const { recordCount } = parseHeader(block);
    return this.#log.append(ref, { block, recordCount, lane });
  }

  /** At least one record when any is there, though it be larger than `bytes`. Passes over damaged blocks. */
  read(ref: ShardRef, from: Position, max: PageMax): Promise<RecordPage> {
    return this.#reader.read(ref, from, max);
  }

  /**
   * Pages as they become readable, without gap or repetition, until the closed end was delivered or the signal aborts. A
   * page is made when it is asked for. Throws SHARD_NOT_FOUND when the shard is dropped meanwhile.
   */
  tail(ref: ShardRef, from: Position, max: PageMax, signal: AbortSignal): AsyncIterable<RecordPage> {
    return this.#reader.tail(ref, from, max, signal);
  }

  /** Resolves when everything appended so far is durable or refused. From now on nothing lingers. */
  async flush(): Promise<void> {
    this.#linger.end();
    await this.#draining;
  }

  /** One more than there is room for is taken: a record that is larger than all others must not wait for ever. */
  #checkRoom(): void {
    const max = this.#options.pendingBytesMax;
    if (this.#pendingBytes <= max) return;
    throw new TributaryError('BUSY', `more than ${max} bytes wait for the disk; try again`);
  }

  #enqueue(
    ref: ShardRef,
    records: readonly TimedRecord[],
    options: WriteOptions,
  ): Promise<AppendedPositions> {
    return new Promise((resolve, reject) => {
      const { with: changes = [], note = null } = options;
      this.#queueOf(ref, options).waiters.push({ records, with: changes, note, resolve, reject });
      this.#linger.joined(options.class, this.#pendingBytes, options.lingerMsMax);
      this.#draining ??= this.#drain();
    });
  }

  #queueOf(ref: ShardRef, options: WriteOptions): RecordQueue {
    const key = `${nameOf(ref)}\0${options.class}\0${options.isLane === true}`;
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
      await this.#linger.over();
      const queues = [...this.#queues.values()];
      this.#queues = new Map();
      await this.#commitAll(queues);
    }
    this.#draining = null;
  }

  /** What finds no room waits for it here, before anything that came later: order is kept. */
  async #commitAll(queues: readonly RecordQueue[]): Promise<void> {
    for (let due = queues; due.length > 0;) {
      const numberings = await this.#numberings(due);
      // All are handed over in this one turn, so they share a commit, and a log's ordinals are given in its order.
      const errors = await Promise.all(
        due.map((queue) => this.#commit(queue, numberings.get(nameOf(queue.ref)))),
      );
      const full = due.filter((_, index) => isTributaryError(errors[index], 'STORAGE_FULL'));
      const error = errors.find((one) => isTributaryError(one, 'STORAGE_FULL')) as TributaryError | undefined;
      const isAgain = error !== undefined && (await this.#options.makeRoom?.(error)) === true;
      for (const [index, queue] of due.entries()) {
        if (errors[index] === null || (isAgain && full.includes(queue))) continue;
        for (const waiter of queue.waiters) waiter.reject(errors[index]);
      }
      due = isAgain ? full : [];
    }
  }

  /** Answers who waits; or returns why nothing of the queue is stored. */
  async #commit(queue: RecordQueue, numbering: Numbering | undefined): Promise<unknown> {
    const batches = batchesOf(queue.waiters);
    const settled = await Promise.allSettled(
      batches.map((batch) => this.#appendBatch(queue, batch, numbering)),
    );
    const failed = settled.find((result) => result.status === 'rejected');
    if (failed !== undefined) return failed.reason;
    const firsts = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    answerWaiters(queue.waiters, batches, firsts);
    return null;
  }

  /** Hands one block over before the first await. */
  async #appendBatch(
    queue: RecordQueue,
    batch: RecordBatch,
    numbering: Numbering | undefined,
  ): Promise<Position> {
    const recordCount = batch.records.length;
    const firstOrdinal = queue.isLane ? takeOrdinals(numbering, recordCount) : 0n;
    const block = this.#encode(queue.class, batch.records, firstOrdinal);
    const { with: changes, note } = batch;
    const noted = note === null ? {} : { note };
    const { first } = await this.#log.append(queue.ref, { block, recordCount, with: changes, ...noted });
    return first;
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
    return encodeBlock(frame, records, this.#digest, this.#options.compression);
  }

  /**
   * Where the ordinals of each numbered log go on: behind all records ever appended to it, trimmed or not, so that none
   * is used again. Asked anew for every commit, because what is stored decides, not what was tried.
   */
  async #numberings(queues: readonly RecordQueue[]): Promise<Map<string, Numbering>> {
    const refs = new Map(queues.filter(({ isLane }) => isLane).map(({ ref }) => [nameOf(ref), ref]));
    const numberings = new Map<string, Numbering>();
    for (const [name, ref] of refs) {
      try {
        const { totalRecords } = await this.#log.bounds(ref);
        numberings.set(name, { next: BigInt(totalRecords) + 1n, error: null });
      } catch (error) {
        numberings.set(name, { next: 0n, error: error as Error });
      }
    }
    return numberings;
  }
}

interface Numbering {
  next: bigint;
  /** Why it is not known. */
  readonly error: Error | null;
}

function takeOrdinals(numbering: Numbering | undefined, count: number): bigint {
  assert(numbering !== undefined, 'a numbered log has been asked for its end');
  if (numbering.error !== null) throw numbering.error;
  const first = numbering.next;
  numbering.next += BigInt(count);
  return first;
}

function checkedBytes(record: RecordInput): number {
  const characters = record.partitionKey.length;
  if (characters < 1 || characters > PARTITION_KEY_CHARACTERS_MAX) {
    throw malformed(
      `a partition key has 1..${PARTITION_KEY_CHARACTERS_MAX} characters, this one ${characters}`,
    );
  }
  if (record.data.length <= RECORD_BYTES_MAX) return recordBytesInBlock(record);
  throw new TributaryError(
    'RECORD_TOO_LARGE',
    `a record is at most ${RECORD_BYTES_MAX} bytes, this one has ${record.data.length}`,
  );
}

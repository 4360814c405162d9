// The ports the core is used through. Implemented in storage/ and runtime/, never here.
import type { Position } from './position.ts';

/** Wall time may jump; monotonic time may not and is meaningless across boots. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  wallMs(): number;
  /** Microseconds of this boot. */
  monotonicUs(): bigint;
}

export interface Digest {
  /** MD5 of the UTF-8 bytes, 32 small hex digits. */
  md5Hex(text: string): string;
  /** CRC-32 (ISO 3309), continuing `seed`. */
  crc32(bytes: Uint8Array, seed?: number): number;
}

/** A reversible transformation of a block's body. */
export interface Codec {
  readonly id: number;
  readonly name: string;
  compress(raw: Uint8Array): Uint8Array;
  /** Throws when the result would not be exactly `rawLength` bytes. */
  decompress(stored: Uint8Array, rawLength: number): Uint8Array;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** One event, one line. `debug` and `info` are for developers, the rest for operators. */
export interface Log {
  debug(event: string, fields?: LogFields | (() => LogFields)): void;
  info(event: string, fields?: LogFields): void;
  notice(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log whose lines carry the module's name. */
  child(module: string): Log;
}

/** Ids, never names: a stream deleted and created again is another stream. */
export interface ShardRef {
  readonly streamId: string;
  readonly shardId: string;
}

/** A small piece of state that becomes durable in the same commit as an append. `null` deletes. */
export interface MetaChange {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** Last ordinal a lane has stored in a shard, with what the writer wanted remembered beside it. */
export interface LaneState {
  readonly last: bigint;
  readonly position: Position;
  /** Opaque to the engine, at most LANE_TAG_BYTES_MAX. */
  readonly tag: Uint8Array;
}

export interface LaneRow extends LaneState {
  readonly lane: string;
}

/** An append on behalf of a lane: ordinals first..last, accepted only if they follow what is stored. */
export interface LaneAppend {
  readonly lane: string;
  readonly first: bigint;
  readonly last: bigint;
  readonly tag: Uint8Array;
  /** Ordinals up to here are lost to the writer: the lane is judged as if it ended here, or later if it does. */
  readonly after?: bigint;
}

export interface AppendInput {
  /** The block as it travels. The engine keeps the buffer until the returned promise settles. */
  readonly block: Uint8Array;
  /** 1..65,535. */
  readonly recordCount: number;
  /** Kept beside the block for as long as it is, in the same commit; never sent. At most NOTE_BYTES_MAX. */
  readonly note?: Uint8Array;
  readonly lane?: LaneAppend;
  readonly with?: readonly MetaChange[];
}

export interface AppendResult {
  /** Position of the block's first record; of a duplicate, the lane's last stored position. */
  readonly first: Position;
  /** The server's clock at commit, never decreasing within a time segment. */
  readonly arrivalMs: number;
  /** True when every ordinal was stored before; nothing was written. */
  readonly duplicate: boolean;
}

export interface StoredBlock {
  /** Position of the first record. */
  readonly first: Position;
  readonly recordCount: number;
  readonly arrivalMs: number;
  /** Records of the shard up to and including this block, since its creation. */
  readonly cumulativeRecords: number;
  readonly cumulativeBytes: number;
  /** Bytes of the block as it is stored, which is how it is counted. */
  readonly storedBytes: number;
  /** A copy; the caller may keep it. */
  readonly block: Uint8Array;
  /** What the writer wanted remembered beside it; empty when nothing. */
  readonly note: Uint8Array;
  /** Number of the key of its stream that sealed it; absent: none did. */
  readonly streamKey?: number;
}

export interface PageBounds {
  readonly blocks: number;
  /** Of blocks. */
  readonly bytes: number;
}

export interface BlockPage {
  readonly blocks: readonly StoredBlock[];
  /** Where to go on: never beyond what was seen. */
  readonly next: Position;
  /** Arrival of the first unread block, null when nothing is unread. */
  readonly nextArrivalMs: number | null;
  /** The shard is closed and everything up to its end has been delivered. */
  readonly closedEnd: boolean;
}

export interface ShardBounds {
  /** First record kept, null when nothing is kept. */
  readonly first: Position | null;
  /** Last record ever written and still kept, null when nothing is kept. */
  readonly last: Position | null;
  /** Where the next record will be: LATEST. */
  readonly next: Position;
  readonly lastArrivalMs: number;
  readonly closed: boolean;
  /** Kept records and block bytes. */
  readonly records: number;
  readonly bytes: number;
  /** Records ever appended, kept or not: in a log that numbers its records, the ordinal of the last one. */
  readonly totalRecords: number;
  /** Of them, those before the first kept one. */
  readonly recordsBefore: number;
  /** Of them, those that the repair of a damaged store could not bring back. */
  readonly lostRecords: number;
}

export interface ShardOptions {
  /** Milliseconds since arrival; Infinity keeps until trimmed. */
  readonly retentionMs: number;
  /** Name of the stream for people; verification counts by it. Default: the stream's id. */
  readonly streamName?: string;
  /** Every position of the new shard is greater than this. */
  readonly after?: Position;
  /** Lanes continued from closed parents. */
  readonly lanes?: readonly LaneRow[];
}

/**
 * Durable append-only log per shard. Every call on a dropped or never created shard throws SHARD_NOT_FOUND.
 * ENOSPC surfaces as STORAGE_FULL (retryable, nothing written), any other disk error as STORAGE_FAILED.
 */
export interface ShardLog {
  readonly caps: { readonly durability: 'memory' | 'disk'; readonly blockBytesMax: number };
  /** Idempotent: an existing shard stays as it is. */
  createShard(ref: ShardRef, options: ShardOptions): Promise<void>;
  /** Idempotent fence: no append is acknowledged after it resolves. Reading and expiry go on. */
  closeShard(ref: ShardRef): Promise<{ readonly last: Position | null; readonly lanes: readonly LaneRow[] }>;
  dropShard(ref: ShardRef): Promise<void>;
  /** What has expired by the former one stays expired: a longer one is for what is still kept. */
  setRetention(ref: ShardRef, retentionMs: number): Promise<void>;
  /** Durable when resolved. Throws SHARD_CLOSED, LANE_GAP{have}, LANE_OVERLAP{have}, BLOCK_TOO_LARGE. */
  append(ref: ShardRef, input: AppendInput): Promise<AppendResult>;
  lane(ref: ShardRef, lane: string): Promise<LaneState | null>;
  /** Forgets blocks wholly before `position`. Rides in the next commit, and `changes` in the same one. Returns what was forgotten. */
  trim(
    ref: ShardRef,
    position: Position,
    changes?: readonly MetaChange[],
  ): Promise<{ readonly blocks: number; readonly records: number; readonly bytes: number }>;
  bounds(ref: ShardRef): Promise<ShardBounds>;
  /** First position with arrival >= ms, else the next one to be written. */
  seekTime(ref: ShardRef, ms: number): Promise<Position>;
  /** Position of the ordinal-th record ever appended (from 1): the first kept one when it is trimmed, else the next one to be written. */
  seekOrdinal(ref: ShardRef, ordinal: bigint): Promise<Position>;
  /** From the block that holds `from`; below the trim point from the first kept block. At least one block if any. */
  readBlocks(ref: ShardRef, from: Position, max: PageBounds): Promise<BlockPage>;
  /** Gapless, ordered, without duplicates. Ends when the closed shard is delivered or the signal aborts. */
  tail(ref: ShardRef, from: Position, signal: AbortSignal): AsyncIterable<BlockPage>;
}

export interface MetaEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Grows with every change of the store. */
  readonly revision: bigint;
}

export interface MetaEvent {
  readonly key: string;
  /** null: deleted. */
  readonly value: Uint8Array | null;
  readonly revision: bigint;
}

/** What a put expects to replace. */
export type Expected = bigint | 'absent' | 'any';

/** Linearizable key-value map. Of N racing writers with the same expectation exactly one wins. */
export interface Meta {
  get(key: string): Promise<MetaEntry | null>;
  /** Throws META_CONFLICT when the expectation does not hold, META_VALUE_TOO_LARGE. */
  put(key: string, value: Uint8Array, expected: Expected): Promise<bigint>;
  /** Visible at once, durable with the next commit or after a few seconds: for state that may be recomputed. null deletes. */
  putLazy(key: string, value: Uint8Array | null): void;
  del(key: string, expected: Expected): Promise<void>;
  /** In key order; not a snapshot. */
  list(prefix: string): AsyncIterable<MetaEntry>;
  /** Current values first (or what changed since `fromRevision`), then every change in revision order. Throws WATCH_EXPIRED. */
  watch(prefix: string, signal: AbortSignal, fromRevision?: bigint): AsyncIterable<MetaEvent>;
}

/** One store: a shard log and a map whose changes share commits. */
export interface Store {
  readonly log: ShardLog;
  readonly meta: Meta;
  /**
   * Bytes of the store's file, of them what live data take (pages in use), and the records of all shards that the repair of
   * a damaged file could not bring back.
   */
  usage(): { readonly fileBytes: number; readonly liveBytes: number; readonly lostRecords: number };
  /** Bytes given to the disk since the store was opened, with what the file system writes beside them. */
  writtenBytes(): number;
  /** What arrival times are compared with to tell an age, milliseconds. */
  nowMs(): number;
  close(): Promise<void>;
}

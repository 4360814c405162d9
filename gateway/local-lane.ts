// One numbered sequence of records in the gateway's log: what was appended, what is kept, what the server has.
import { randomUUID } from 'node:crypto';
import { nodeCodecs } from '../runtime/codecs.ts';
import { sliceBlock } from '../stream/block-cut.ts';
import { checkBlock } from '../stream/block.ts';
import { malformed } from '../stream/block-header.ts';
import type { ParsedHeader } from '../stream/block-header.ts';
import { TributaryError, isTributaryError } from '../stream/errors.ts';
import { extendHistory } from '../stream/lane.ts';
import type { LaneHistory, LaneRun } from '../stream/lane.ts';
import { GATEWAY_LANE_RUNS_MAX } from '../stream/limits.ts';
import type { Digest, Meta, MetaChange, ShardBounds, ShardRef, Store, StoredBlock } from '../stream/ports.ts';
import type { RecordClass } from '../stream/record.ts';
import type { UplinkLane } from '../sync/ports.ts';
import {
  CURSOR_PREFIX,
  EVICTED_PREFIX,
  INCARNATION_PREFIX,
  RUNS_PREFIX,
  decodeCount,
  decodeIncarnation,
  decodeRuns,
  encodeCount,
  encodeIncarnation,
  encodeRuns,
  laneKeyOf,
} from './lane-row.ts';
import type { Incarnation, LaneName } from './lane-row.ts';

export interface LocalLaneParts {
  readonly store: Store;
  readonly digest: Digest;
  /** Run id of this opening of the log. */
  readonly run: string;
}

interface LaneRows {
  readonly runs: readonly LaneRun[];
  readonly incarnation: Incarnation;
  readonly acknowledged: bigint;
  readonly evictedRecords: number;
}

export class LocalLane implements UplinkLane {
  readonly stream: string;
  readonly class: RecordClass;
  readonly forward: boolean;
  readonly ref: ShardRef;
  readonly #key: string;
  readonly #parts: LocalLaneParts;
  #runs: readonly LaneRun[];
  #incarnation: Incarnation;
  #last: bigint;
  #firstKept: bigint;
  #acknowledged: bigint;
  #evictedRecords: number;

  private constructor(name: LaneName, parts: LocalLaneParts, bounds: ShardBounds, rows: LaneRows) {
    this.stream = name.stream;
    this.class = name.class;
    this.forward = name.forward;
    this.ref = shardRefOf(name);
    this.#key = laneKeyOf(name);
    this.#parts = parts;
    this.#last = BigInt(bounds.totalRecords);
    this.#firstKept = BigInt(bounds.recordsBefore) + 1n;
    this.#runs = rows.runs;
    this.#incarnation = rows.incarnation;
    this.#acknowledged = rows.acknowledged;
    this.#evictedRecords = rows.evictedRecords;
  }

  /** The lane's shard is there. The first time, it starts its first incarnation. */
  static async open(name: LaneName, parts: LocalLaneParts): Promise<LocalLane> {
    const { log, meta } = parts.store;
    const key = laneKeyOf(name);
    const bounds = await log.bounds(shardRefOf(name));
    const known = await valueAt(meta, INCARNATION_PREFIX + key, decodeIncarnation);
    const incarnation = known ?? { id: randomUUID(), base: 0n };
    if (known === null) await meta.put(INCARNATION_PREFIX + key, encodeIncarnation(incarnation), 'any');
    return new LocalLane(name, parts, bounds, {
      runs: (await valueAt(meta, RUNS_PREFIX + key, decodeRuns)) ?? [],
      incarnation,
      acknowledged: (await valueAt(meta, CURSOR_PREFIX + key, decodeCount)) ?? 0n,
      evictedRecords: Number((await valueAt(meta, EVICTED_PREFIX + key, decodeCount)) ?? 0n),
    });
  }

  get incarnation(): string {
    return this.#incarnation.id;
  }

  get base(): bigint {
    return this.#incarnation.base;
  }

  get history(): LaneHistory {
    return { last: this.#last, runs: this.#runs };
  }

  get firstKept(): bigint {
    return this.#firstKept;
  }

  get acknowledged(): bigint {
    return this.#acknowledged;
  }

  /** Records evicted before the server had them, since the lane was made. */
  get evictedRecords(): number {
    return this.#evictedRecords;
  }

  /** Records the server does not have and that are still here. */
  get unsentRecords(): number {
    if (!this.forward) return 0;
    return Number(this.#last - larger(this.#acknowledged, this.#firstKept - 1n));
  }

  /** What an append must carry: the note that this run writes from here on, until it is durable. */
  runChanges(): readonly MetaChange[] {
    if (this.#runs.at(-1)?.run === this.#parts.run) return [];
    return [{ key: RUNS_PREFIX + this.#key, value: encodeRuns(this.#withRun()) }];
  }

  /** `count` records are durable, and with them what runChanges answered. */
  appended(count: number): void {
    if (this.#runs.at(-1)?.run !== this.#parts.run) this.#runs = this.#withRun();
    this.#last += BigInt(count);
  }

  acknowledge(ordinal: bigint): void {
    if (ordinal === this.#acknowledged) return;
    this.#acknowledged = ordinal;
    this.#parts.store.meta.putLazy(CURSOR_PREFIX + this.#key, encodeCount(ordinal));
  }

  async startIncarnation(base: bigint): Promise<void> {
    const incarnation = { id: randomUUID(), base };
    await this.#parts.store.meta.put(INCARNATION_PREFIX + this.#key, encodeIncarnation(incarnation), 'any');
    this.#incarnation = incarnation;
  }

  async readBlock(ordinal: bigint): Promise<Uint8Array | null> {
    const { log } = this.#parts.store;
    if (ordinal > this.#last) return null;
    const from = await log.seekOrdinal(this.ref, ordinal);
    const { blocks } = await log.readBlocks(this.ref, from, { blocks: 1, bytes: 1 });
    const stored = blocks[0];
    const isKept = ordinal >= this.#firstKept;
    if (stored === undefined && isKept) throw this.#lost(ordinal, this.#last);
    if (stored === undefined) return null;
    const { firstOrdinal } = this.#checked(stored);
    // What is before the first kept one was evicted; behind it nothing is missing but what was lost.
    if (firstOrdinal > ordinal && isKept) throw this.#lost(ordinal, firstOrdinal - 1n);
    if (firstOrdinal >= ordinal) return stored.block;
    return sliceBlock(stored.block, Number(ordinal - firstOrdinal), this.#parts.digest, nodeCodecs);
  }

  #lost(ordinal: bigint, lastOrdinal: bigint): TributaryError {
    const text = `records ${ordinal} to ${lastOrdinal} of stream ${this.stream} were lost when the damaged log was repaired`;
    return new TributaryError('BLOCK_MALFORMED', text, { details: { lastOrdinal } });
  }

  /** Throws BLOCK_* with the block's last ordinal, by which the reader goes on behind it. */
  #checked(stored: StoredBlock): ParsedHeader {
    // Ordinals of a log count its records, and the count stands in the engine's envelope.
    const lastOrdinal = BigInt(stored.cumulativeRecords);
    try {
      const header = checkBlock(stored.block, this.#parts.digest);
      if (header.firstOrdinal + BigInt(header.recordCount) - 1n === lastOrdinal) return header;
      throw malformed(`it holds records from ${header.firstOrdinal} on, which belong elsewhere`);
    } catch (error) {
      // Without its key a block is not damaged: nobody may pass over it.
      if (!isTributaryError(error) || error.code === 'KEY_INVALID') throw error;
      const text = `records up to ${lastOrdinal} of stream ${this.stream} are damaged on the disk: ${error.message}`;
      throw new TributaryError(error.code, text, { details: { lastOrdinal }, cause: error });
    }
  }

  /** The oldest records up to `firstKept - 1` are gone. Answers the change that counts those the server never had. */
  dropped(firstKept: bigint): readonly MetaChange[] {
    const hadTo = this.forward ? larger(this.#acknowledged, this.#firstKept - 1n) : firstKept - 1n;
    this.#firstKept = firstKept;
    const lost = Number(firstKept - 1n - hadTo);
    if (lost <= 0) return [];
    this.#evictedRecords += lost;
    return [{ key: EVICTED_PREFIX + this.#key, value: encodeCount(this.#evictedRecords) }];
  }

  #withRun(): readonly LaneRun[] {
    const { run } = this.#parts;
    const first = this.#last + 1n;
    return extendHistory(this.history, run, first, first, GATEWAY_LANE_RUNS_MAX).runs;
  }
}

/** The log's name of a lane. */
export function shardRefOf(name: LaneName): ShardRef {
  return { streamId: name.stream, shardId: name.forward ? name.class : `${name.class}/local` };
}

async function valueAt<T>(meta: Meta, key: string, decode: (value: Uint8Array) => T): Promise<T | null> {
  const entry = await meta.get(key);
  return entry === null ? null : decode(entry.value);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

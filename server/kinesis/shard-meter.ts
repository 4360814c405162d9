// What goes in and out of each shard: counted for its limits, and for where it should be split.
import { TokenBucket, perSecond } from '../../runtime/token-bucket.ts';
import { KeySamples } from './key-samples.ts';
import type { ShardLimits } from './shard-limits.ts';

/** How fast the measured traffic follows the real one: a burst of some seconds moves it little. */
const HEAT_TIME_CONSTANT_MS = 30_000;

export interface Heat {
  /** Averages over about half a minute. */
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
}

export class ShardMeter {
  readonly #now: () => number;
  readonly #writeRecords: TokenBucket;
  readonly #writeBytes: TokenBucket;
  readonly #readCalls: TokenBucket;
  readonly #readBytes: TokenBucket;
  readonly #iteratorCalls: TokenBucket;
  readonly keys = new KeySamples();
  #records = 0;
  #bytes = 0;
  #heatAtMs: number;

  constructor(limits: ShardLimits, now: () => number) {
    const nowMs = now();
    this.#now = now;
    this.#writeRecords = new TokenBucket(perSecond(limits.writeRecordsPerSecond), nowMs);
    this.#writeBytes = new TokenBucket(perSecond(limits.writeBytesPerSecond), nowMs);
    this.#readCalls = new TokenBucket(perSecond(limits.readCallsPerSecond), nowMs);
    this.#readBytes = new TokenBucket(perSecond(limits.readBytesPerSecond), nowMs);
    this.#iteratorCalls = new TokenBucket(perSecond(limits.iteratorCallsPerSecond), nowMs);
    this.#heatAtMs = nowMs;
  }

  /** Whether the shard takes a record of so many bytes now. One that is larger than a second's worth needs a full bucket. */
  takeWrite(bytes: number): boolean {
    const nowMs = this.#now();
    if (!this.#writeRecords.has(1, nowMs) || !this.#writeBytes.has(bytes, nowMs)) return false;
    this.#writeRecords.spend(1, nowMs);
    this.#writeBytes.spend(bytes, nowMs);
    return true;
  }

  /** Whether a GetRecords may be answered now: not while bytes that were read before are owed. */
  takeRead(): boolean {
    const nowMs = this.#now();
    return this.#readBytes.has(1, nowMs) && this.#readCalls.take(1, nowMs);
  }

  oweRead(bytes: number): void {
    this.#readBytes.spend(bytes, this.#now());
  }

  takeIterator(): boolean {
    return this.#iteratorCalls.take(1, this.#now());
  }

  /** Stored records, limited or not. */
  wrote(records: number, bytes: number): void {
    this.#cool();
    this.#records += records;
    this.#bytes += bytes;
  }

  get heat(): Heat {
    this.#cool();
    const perSecondOf = (sum: number): number => (sum * 1_000) / HEAT_TIME_CONSTANT_MS;
    return { recordsPerSecond: perSecondOf(this.#records), bytesPerSecond: perSecondOf(this.#bytes) };
  }

  #cool(): void {
    const nowMs = this.#now();
    const kept = Math.exp((this.#heatAtMs - nowMs) / HEAT_TIME_CONSTANT_MS);
    this.#records *= kept;
    this.#bytes *= kept;
    this.#heatAtMs = nowMs;
  }
}

/** The meters of all shards; one is made when its shard is first used. */
export class ShardMeters {
  readonly limits: ShardLimits;
  readonly #now: () => number;
  readonly #meters = new Map<string, Map<number, ShardMeter>>();

  /** `now`: monotonic, milliseconds. */
  constructor(limits: ShardLimits, now: () => number) {
    this.limits = limits;
    this.#now = now;
  }

  of(streamId: string, shardIndex: number): ShardMeter {
    let shards = this.#meters.get(streamId);
    if (shards === undefined) {
      shards = new Map();
      this.#meters.set(streamId, shards);
    }
    let meter = shards.get(shardIndex);
    if (meter === undefined) {
      meter = new ShardMeter(this.limits, this.#now);
      shards.set(shardIndex, meter);
    }
    return meter;
  }

  /** The meter of a shard that was used. */
  find(streamId: string, shardIndex: number): ShardMeter | undefined {
    return this.#meters.get(streamId)?.get(shardIndex);
  }

  /** Forgets all but these shards of these streams. */
  keep(kept: ReadonlyMap<string, ReadonlySet<number>>): void {
    for (const [streamId, shards] of this.#meters) {
      const indexes = kept.get(streamId);
      if (indexes === undefined) this.#meters.delete(streamId);
      else for (const index of shards.keys()) if (!indexes.has(index)) shards.delete(index);
    }
  }
}

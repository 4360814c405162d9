// What the account may have of streams and shards, with those that are being made (Kinesis API, CreateStream).
import { openShardsMax } from '../../stream/reshard.ts';
import { openShards } from '../../stream/shard-map.ts';
import type { ReshardRound } from '../../stream/shard-map.ts';
import type { Account } from './account.ts';
import { kinesisError } from './errors.ts';
import type { LIMIT_PROFILES } from './shard-limits.ts';
import { tooManyKept, tooManyShards } from './stream-errors.ts';
import type { StreamMode, StreamRow } from './stream-row.ts';

export interface CatalogLimits {
  /** Open shards of the account. */
  readonly shardsMax: number;
  readonly onDemandStreamsMax: number;
  /** Streams that are CREATING together because somebody asked for them. */
  readonly streamsCreatingMax: number;
}

/**
 * Open shards of a stream and closed ones that have not expired: what its row, one value of the store, has room for. It
 * must be known before any shard is closed, or those would stay closed without children.
 */
const SHARDS_KEPT_MAX = 30_000;
/** Kinesis API, CreateStream. */
const STREAMS_CREATING_MAX = 5;

export function accountLimits(
  settings: Omit<CatalogLimits, 'streamsCreatingMax'> & { readonly profile: (typeof LIMIT_PROFILES)[number] },
): CatalogLimits {
  return { ...settings, streamsCreatingMax: settings.profile === 'aws' ? STREAMS_CREATING_MAX : Infinity };
}

export interface NewStream {
  readonly mode: StreamMode;
  readonly shardCount: number;
}

export class AccountLimits {
  readonly #account: Account;
  readonly #limits: CatalogLimits;
  readonly #list: () => readonly StreamRow[];
  /** Promised to limits already, not all of them listed yet. */
  readonly #creating = new Map<string, NewStream>();

  constructor(account: Account, limits: CatalogLimits, list: () => readonly StreamRow[]) {
    this.#account = account;
    this.#limits = limits;
    this.#list = list;
  }

  get shardsMax(): number {
    return this.#limits.shardsMax;
  }

  get onDemandStreamsMax(): number {
    return this.#limits.onDemandStreamsMax;
  }

  /** Open shards, with those that streams under way will have. */
  get shardCount(): number {
    const made = new Map(
      this.#list().map(({ name, map, reshard = [] }) => [name, openShardsMax(map, reshard)]),
    );
    let count = [...made.values()].reduce((sum, shards) => sum + shards, 0);
    for (const [name, { shardCount }] of this.#creating)
      count += Math.max(0, shardCount - (made.get(name) ?? 0));
    return count;
  }

  get onDemandStreamCount(): number {
    const others = this.#list().filter(({ name }) => !this.#creating.has(name));
    return [...others, ...this.#creating.values()].filter(({ mode }) => mode === 'ON_DEMAND').length;
  }

  /** Makes a stream, or changes its mode; it counts from now on. Throws LimitExceededException. */
  async whilePromised<T>(name: string, stream: NewStream, make: () => Promise<T>): Promise<T> {
    this.#checkShards(stream.shardCount);
    if (stream.mode === 'ON_DEMAND') this.#checkOnDemand();
    this.#creating.set(name, stream);
    try {
      return await make();
    } finally {
      this.#creating.delete(name);
    }
  }

  /** For whoever asks for a stream. One that a full disk left CREATING is made again. */
  checkCreating(name: string): void {
    const names = new Set(this.#creating.keys());
    for (const row of this.#list()) if (row.status === 'CREATING') names.add(row.name);
    names.delete(name);
    if (names.size < this.#limits.streamsCreatingMax) return;
    const text = `Account ${this.#account.accountId} has ${names.size} streams in state CREATING, its limit; try again later.`;
    throw kinesisError('LimitExceededException', text);
  }

  /** For the shards that are open while a stream takes `rounds`, and those that its row then remembers. */
  checkRounds({ name, map }: Pick<StreamRow, 'name' | 'map'>, rounds: readonly ReshardRound[]): void {
    this.#checkShards(openShardsMax(map, rounds) - openShards(map).length);
    const made = rounds.flat().reduce((count, { kind }) => count + (kind === 'split' ? 2 : 1), 0);
    if (made === 0 || map.shards.length + made <= SHARDS_KEPT_MAX) return;
    throw tooManyKept(this.#account, { name, count: map.shards.length, limit: SHARDS_KEPT_MAX });
  }

  #checkShards(more: number): void {
    const { shardsMax: limit } = this.#limits;
    const count = this.shardCount;
    if (count + more > limit) throw tooManyShards(this.#account, { count, more, limit });
  }

  #checkOnDemand(): void {
    const count = this.onDemandStreamCount;
    if (count < this.#limits.onDemandStreamsMax) return;
    const text = `Account ${this.#account.accountId} has ${count} on-demand streams, its limit.`;
    throw kinesisError('LimitExceededException', text);
  }
}

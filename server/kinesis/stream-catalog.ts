// The streams of this server: their rows in Meta, their shards in the log, and what was under way at a crash.
import { randomUUID } from 'node:crypto';
import { isTributaryError } from '../../stream/errors.ts';
import type { Clock, Meta, ShardLog, Store } from '../../stream/ports.ts';
import { createShardMap, openShards } from '../../stream/shard-map.ts';
import type { Account } from './arn.ts';
import { kinesisError } from './errors.ts';
import { decodeStreamRow, encodeStreamRow, shardRef } from './stream-row.ts';
import type { StreamMode, StreamRow } from './stream-row.ts';

const PREFIX = 'stream/';
const HOUR_MS = 3_600_000;

export interface CreateOptions {
  readonly mode: StreamMode;
  readonly shardCount: number;
  readonly maxRecordKiB?: number;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface CatalogLimits {
  /** Open shards of the account. */
  readonly shardsMax: number;
  readonly onDemandStreamsMax: number;
}

export const DEFAULT_CATALOG_LIMITS: CatalogLimits = { shardsMax: 1_000, onDemandStreamsMax: 50 };
/** ON_DEMAND starts with this many. */
export const ON_DEMAND_SHARDS = 4;

interface Held {
  readonly row: StreamRow;
  readonly revision: bigint;
}

export class StreamCatalog {
  readonly #meta: Meta;
  readonly #log: ShardLog;
  readonly #clock: Clock;
  readonly #account: Account;
  readonly #limits: CatalogLimits;
  readonly #streams = new Map<string, Held>();

  private constructor(store: Store, clock: Clock, account: Account, limits: CatalogLimits) {
    this.#meta = store.meta;
    this.#log = store.log;
    this.#clock = clock;
    this.#account = account;
    this.#limits = limits;
  }

  /** Reads every row and finishes what a crash interrupted. */
  static async open(
    store: Store,
    clock: Clock,
    account: Account,
    limits = DEFAULT_CATALOG_LIMITS,
  ): Promise<StreamCatalog> {
    const catalog = new StreamCatalog(store, clock, account, limits);
    for await (const { value, revision } of store.meta.list(PREFIX)) {
      const row = decodeStreamRow(value);
      catalog.#streams.set(row.name, { row, revision });
    }
    for (const held of catalog.#streams.values()) {
      if (held.row.status === 'CREATING') await catalog.#finishCreate(held);
      if (held.row.status === 'DELETING') await catalog.#finishDelete(held);
    }
    return catalog;
  }

  /** Sorted by name. */
  list(): StreamRow[] {
    return [...this.#streams.values()].map(({ row }) => row).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): StreamRow | undefined {
    return this.#streams.get(name)?.row;
  }

  byId(id: string): StreamRow | undefined {
    return [...this.#streams.values()].find(({ row }) => row.id === id)?.row;
  }

  /** The stream, or ResourceNotFoundException. */
  get(name: string): StreamRow {
    const row = this.find(name);
    if (row !== undefined) return row;
    throw kinesisError(
      'ResourceNotFoundException',
      `Stream ${name} under account ${this.#account.accountId} not found.`,
    );
  }

  /** Resolves when the stream is ACTIVE and its shards are on the disk. */
  async create(name: string, options: CreateOptions): Promise<StreamRow> {
    this.#checkLimits(options);
    const nowMs = this.#clock.wallMs();
    const row: StreamRow = {
      id: randomUUID(),
      name,
      status: 'CREATING',
      mode: options.mode,
      createdAtMs: nowMs,
      retentionHours: 24,
      maxRecordKiB: options.maxRecordKiB ?? 1_024,
      tags: options.tags ?? {},
      map: createShardMap(options.shardCount, nowMs),
    };
    if (this.#streams.has(name)) throw this.#exists(name);
    try {
      return await this.#finishCreate(await this.#put(row, 'absent'));
    } catch (error) {
      throw isTributaryError(error, 'META_CONFLICT') ? this.#exists(name) : error;
    }
  }

  async delete(name: string): Promise<void> {
    const row = this.get(name);
    if (row.status !== 'ACTIVE') throw this.#notActive(row);
    const revision = this.#streams.get(name)?.revision ?? 'absent';
    try {
      await this.#finishDelete(await this.#put({ ...row, status: 'DELETING' }, revision));
    } catch (error) {
      throw isTributaryError(error, 'META_CONFLICT')
        ? this.#notActive({ ...row, status: 'DELETING' })
        : error;
    }
  }

  async #finishCreate({ row, revision }: Held): Promise<StreamRow> {
    const retentionMs = row.retentionHours * HOUR_MS;
    await Promise.all(
      row.map.shards.map((shard) => this.#log.createShard(shardRef(row, shard), { retentionMs })),
    );
    return (await this.#put({ ...row, status: 'ACTIVE' }, revision)).row;
  }

  async #finishDelete({ row, revision }: Held): Promise<void> {
    await Promise.all(row.map.shards.map((shard) => this.#log.dropShard(shardRef(row, shard))));
    await this.#meta.del(PREFIX + row.name, revision);
    this.#streams.delete(row.name);
  }

  async #put(row: StreamRow, expected: bigint | 'absent'): Promise<Held> {
    const revision = await this.#meta.put(PREFIX + row.name, encodeStreamRow(row), expected);
    const held = { row, revision };
    this.#streams.set(row.name, held);
    return held;
  }

  #checkLimits(options: CreateOptions): void {
    const rows = this.list();
    const shardCount = rows.reduce((count, row) => count + openShards(row.map).length, 0);
    const { accountId, region } = this.#account;
    if (shardCount + options.shardCount > this.#limits.shardsMax) {
      throw kinesisError(
        'LimitExceededException',
        `This request would exceed the shard limit for the account ${accountId} in ${region}. Current shard count for the account: ${shardCount}. Limit: ${this.#limits.shardsMax}. Number of additional shards that would have resulted from this request: ${options.shardCount}. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.`,
      );
    }
    const onDemand = rows.filter((row) => row.mode === 'ON_DEMAND').length;
    if (options.mode === 'ON_DEMAND' && onDemand >= this.#limits.onDemandStreamsMax) {
      throw kinesisError(
        'LimitExceededException',
        `Account ${accountId} has ${onDemand} on-demand streams, its limit.`,
      );
    }
  }

  #exists(name: string): Error {
    return kinesisError(
      'ResourceInUseException',
      `Stream ${name} under account ${this.#account.accountId} already exists.`,
    );
  }

  #notActive(row: StreamRow): Error {
    const text = `Stream ${row.name} under account ${this.#account.accountId} not ACTIVE, instead in state ${row.status}`;
    return kinesisError('ResourceInUseException', text);
  }
}

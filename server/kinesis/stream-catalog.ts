// The streams of this server: their rows in Meta, their shards in the log, and what was under way at a crash.
import { randomUUID } from 'node:crypto';
import { nodeDigest } from '../../runtime/digest.ts';
import type { Clock, Digest, Meta, ShardLog, Store } from '../../stream/ports.ts';
import { openShardsMax } from '../../stream/reshard.ts';
import { createShardMap, openShards } from '../../stream/shard-map.ts';
import type { ReshardRound } from '../../stream/shard-map.ts';
import type { Account } from './arn.ts';
import { kinesisError } from './errors.ts';
import { shardsMade, takeRound } from './resharding.ts';
import { RETENTION_HOURS_MIN } from './retention.ts';
import { streamExists, streamNotActive, streamNotFound } from './stream-errors.ts';
import { decodeStreamRow, encodeStreamRow, shardRef } from './stream-row.ts';
import type { StreamMode, StreamRow, StreamStatus } from './stream-row.ts';

const PREFIX = 'stream/';
const HOUR_MS = 3_600_000;

export interface CreateOptions {
  readonly mode: StreamMode;
  readonly shardCount: number;
  readonly maxRecordKiB?: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** The gateway whose records make it. */
  readonly madeFor?: string;
}

export interface ReshardOptions {
  /** The stream stays ACTIVE. */
  readonly isQuiet?: boolean;
  /** What the row remembers of the change, in the same write. */
  readonly note?: (row: StreamRow) => StreamRow;
}

export interface CatalogLimits {
  /** Open shards of the account. */
  readonly shardsMax: number;
  readonly onDemandStreamsMax: number;
}

const DEFAULT_CATALOG_LIMITS: CatalogLimits = { shardsMax: 1_000, onDemandStreamsMax: 50 };
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
  readonly #digest: Digest = nodeDigest;
  readonly #streams = new Map<string, Held>();
  /** Name of each stream's id. */
  readonly #names = new Map<string, string>();
  /** Changes that have not ended, by name. */
  readonly #underWay = new Map<
    string,
    { readonly change: Promise<unknown>; readonly during: StreamStatus }
  >();
  /** Promised to limits already, not all of them listed yet. */
  readonly #creating = new Map<string, CreateOptions>();
  #beforeGone: (row: StreamRow) => Promise<void> = async () => undefined;

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
      catalog.#hold({ row: decodeStreamRow(value), revision });
    }
    for (const name of catalog.#streams.keys()) await catalog.#settle(name);
    return catalog;
  }

  /** Sorted by name. */
  list(): StreamRow[] {
    return [...this.#streams.values()].map(({ row }) => row).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): StreamRow | undefined {
    return this.#streams.get(name)?.row;
  }

  /** Streams that a gateway's records made and that are still there. */
  countMadeFor(gateway: string): number {
    let count = 0;
    for (const { row } of this.#streams.values()) if (row.madeFor === gateway) count += 1;
    return count;
  }

  byId(id: string): StreamRow | undefined {
    const name = this.#names.get(id);
    return name === undefined ? undefined : this.find(name);
  }

  /** The stream, or ResourceNotFoundException. */
  get(name: string): StreamRow {
    return this.#held(name).row;
  }

  /** The stream, for records: one that is still being made is not there yet. */
  active(name: string): StreamRow {
    const row = this.get(name);
    if (row.status !== 'CREATING') return row;
    throw streamNotFound(this.#account, name);
  }

  #held(name: string): Held {
    const held = this.#streams.get(name);
    if (held !== undefined) return held;
    throw streamNotFound(this.#account, name);
  }

  /** The stream of that name, made when it is not there: of callers that come together all get the same one. */
  ensure(name: string, options: CreateOptions): Promise<StreamRow> {
    return this.#inTurn(name, () => this.#ensure(name, options));
  }

  /** Resolves when the stream is ACTIVE and its shards are on the disk. */
  create(name: string, options: CreateOptions): Promise<StreamRow> {
    return this.#alone(name, 'CREATING', () => this.#create(name, options));
  }

  /**
   * Stores the row that `change` makes of the ACTIVE stream's, and does what follows from it; throws ResourceInUseException in
   * any other state.
   */
  update(name: string, change: (row: StreamRow) => StreamRow): Promise<StreamRow> {
    return this.whileActive(name, async (row) => {
      const next = change(row);
      if (next === row) return row;
      await this.#put(next, this.#held(name).revision);
      await this.#settle(name);
      return this.get(name);
    });
  }

  /**
   * Takes the rounds that `plan` makes for the ACTIVE stream; it is UPDATING meanwhile unless that is kept quiet. Resolves
   * when the last children are there. What a full disk interrupts goes on with the next call that meets a closed shard.
   */
  reshard(
    name: string,
    plan: (row: StreamRow) => readonly ReshardRound[],
    { isQuiet = false, note = (row) => row }: ReshardOptions = {},
  ): Promise<StreamRow> {
    return this.whileActive(name, async (row) => {
      const reshard = plan(row);
      if (reshard.length === 0) return row;
      this.#checkShards(openShardsMax(row.map, reshard) - openShards(row.map).length);
      const status = isQuiet ? row.status : 'UPDATING';
      return this.#finishReshard(
        await this.#put({ ...note(row), status, reshard }, this.#held(name).revision),
      );
    });
  }

  /**
   * The stream as it is once the children of a closed shard are there: writers go to them, readers are told of them.
   * Undefined: the stream is gone.
   */
  async afterReshard(id: string): Promise<StreamRow | undefined> {
    const row = this.byId(id);
    if (row === undefined) return undefined;
    await this.#inTurn(row.name, () => this.#settle(row.name));
    return this.byId(id);
  }

  /** Runs `task` on the ACTIVE stream, which nothing else changes meanwhile; throws as `update`. */
  async whileActive<T>(name: string, task: (row: StreamRow) => Promise<T>): Promise<T> {
    this.#checkActive(this.get(name));
    return this.#inTurn(name, async () => {
      await this.#settle(name);
      const row = this.get(name);
      this.#checkActive(row);
      return task(row);
    });
  }

  #checkActive(row: StreamRow): void {
    if (row.status !== 'ACTIVE') throw streamNotActive(this.#account, row);
  }

  /** Resolves when the stream and its records are gone. What `check` throws keeps it. */
  delete(name: string, check: (row: StreamRow) => void = () => undefined): Promise<void> {
    return this.#alone(name, 'DELETING', () => this.#delete(name, check));
  }

  /** Runs before the last trace of a deleted stream is removed, again after a failure; what it removes goes with the stream. */
  beforeGone(remove: (row: StreamRow) => Promise<void>): void {
    this.#beforeGone = remove;
  }

  /** As `#alone`, but waits for whatever is under way. */
  async #inTurn<T>(name: string, change: () => Promise<T>): Promise<T> {
    for (;;) {
      const other = this.#underWay.get(name);
      if (other === undefined) return this.#alone(name, 'ACTIVE', change);
      await Promise.allSettled([other.change]);
    }
  }

  /** One change of a stream at a time; one that comes while it is made or deleted is told so. `during`: its state then. */
  async #alone<T>(name: string, during: StreamStatus, change: () => Promise<T>): Promise<T> {
    for (let other = this.#underWay.get(name); other !== undefined; other = this.#underWay.get(name)) {
      const row = this.find(name);
      if (row === undefined) throw streamExists(this.#account, name);
      if (other.during !== 'ACTIVE') throw streamNotActive(this.#account, { ...row, status: other.during });
      await Promise.allSettled([other.change]);
    }
    const promise = change();
    this.#underWay.set(name, { change: promise, during });
    try {
      return await promise;
    } finally {
      this.#underWay.delete(name);
    }
  }

  async #ensure(name: string, options: CreateOptions): Promise<StreamRow> {
    await this.#settle(name);
    return this.find(name) ?? this.#create(name, options);
  }

  async #create(name: string, options: CreateOptions): Promise<StreamRow> {
    await this.#settle(name);
    if (this.#streams.has(name)) throw streamExists(this.#account, name);
    this.#checkLimits(options);
    const nowMs = this.#clock.wallMs();
    const row: StreamRow = {
      id: randomUUID(),
      name,
      status: 'CREATING',
      mode: options.mode,
      createdAtMs: nowMs,
      retentionHours: RETENTION_HOURS_MIN,
      maxRecordKiB: options.maxRecordKiB ?? 1_024,
      tags: options.tags ?? {},
      map: createShardMap(options.shardCount, nowMs),
      ...(options.madeFor === undefined ? {} : { madeFor: options.madeFor }),
    };
    this.#creating.set(name, options);
    try {
      return await this.#finishCreate(await this.#put(row, 'absent'));
    } finally {
      this.#creating.delete(name);
    }
  }

  async #delete(name: string, check: (row: StreamRow) => void): Promise<void> {
    const { row, revision } = this.#held(name);
    check(row);
    await this.#finishDelete(await this.#put({ ...row, status: 'DELETING' }, revision));
  }

  /** Finishes what a full disk or a crash interrupted. */
  async #settle(name: string): Promise<void> {
    const held = this.#streams.get(name);
    if (held?.row.status === 'CREATING') await this.#finishCreate(held);
    if (held?.row.status === 'DELETING') await this.#finishDelete(held);
    else if (held?.row.reshard !== undefined) await this.#finishReshard(held);
    else if (held?.row.isRetentionPending === true) await this.#finishRetention(held);
  }

  async #finishReshard(held: Held): Promise<StreamRow> {
    const parts = { log: this.#log, digest: this.#digest, nowMs: () => this.#clock.wallMs() };
    let { row, revision } = held;
    for (let [round, ...rest] = row.reshard ?? []; round !== undefined; [round, ...rest] = rest) {
      const map = await takeRound(row, round, parts);
      const { reshard: _taken, ...next } = { ...row, map };
      const published =
        rest.length === 0 ? { ...next, status: 'ACTIVE' as const } : { ...next, reshard: rest };
      ({ row, revision } = await this.#put(published, revision));
    }
    return row;
  }

  async #finishCreate({ row, revision }: Held): Promise<StreamRow> {
    const retentionMs = row.retentionHours * HOUR_MS;
    await Promise.all(
      row.map.shards.map((shard) =>
        this.#log.createShard(shardRef(row, shard), { retentionMs, streamName: row.name }),
      ),
    );
    return (await this.#put({ ...row, status: 'ACTIVE' }, revision)).row;
  }

  async #finishRetention({ row: { isRetentionPending: _isPending, ...row }, revision }: Held): Promise<void> {
    const retentionMs = row.retentionHours * HOUR_MS;
    for (const shard of row.map.shards) await this.#log.setRetention(shardRef(row, shard), retentionMs);
    await this.#put(row, revision);
  }

  async #finishDelete({ row, revision }: Held): Promise<void> {
    await Promise.all(shardsMade(row).map((index) => this.#log.dropShard(shardRef(row, { index }))));
    await this.#beforeGone(row);
    await this.#meta.del(PREFIX + row.name, revision);
    this.#streams.delete(row.name);
    this.#names.delete(row.id);
  }

  async #put(row: StreamRow, expected: bigint | 'absent'): Promise<Held> {
    const revision = await this.#meta.put(PREFIX + row.name, encodeStreamRow(row), expected);
    return this.#hold({ row, revision });
  }

  #hold(held: Held): Held {
    this.#streams.set(held.row.name, held);
    this.#names.set(held.row.id, held.row.name);
    return held;
  }

  #checkLimits(options: CreateOptions): void {
    this.#checkShards(options.shardCount);
    const onDemand = [...this.#made(), ...this.#creating.values()].filter(({ mode }) => mode === 'ON_DEMAND');
    if (options.mode === 'ON_DEMAND' && onDemand.length >= this.#limits.onDemandStreamsMax) {
      throw kinesisError(
        'LimitExceededException',
        `Account ${this.#account.accountId} has ${onDemand.length} on-demand streams, its limit.`,
      );
    }
  }

  #checkShards(moreShards: number): void {
    const { accountId, region } = this.#account;
    const shardCount = this.shardCount;
    if (shardCount + moreShards <= this.#limits.shardsMax) return;
    throw kinesisError(
      'LimitExceededException',
      `This request would exceed the shard limit for the account ${accountId} in ${region}. Current shard count for the account: ${shardCount}. Limit: ${this.#limits.shardsMax}. Number of additional shards that would have resulted from this request: ${moreShards}. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.`,
    );
  }

  /** Open shards of the account, with those that streams under way will have. */
  get shardCount(): number {
    const made = this.#made().reduce((count, row) => count + openShards(row.map).length, 0);
    return [...this.#creating.values()].reduce((count, one) => count + one.shardCount, made);
  }

  #made(): StreamRow[] {
    return this.list().filter((row) => !this.#creating.has(row.name));
  }
}

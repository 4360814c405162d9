// The streams of this server: their rows in Meta, their shards in the log, and what was under way at a crash.
import { randomUUID } from 'node:crypto';
import { isTributaryError } from '../../stream/errors.ts';
import type { Change } from '../../storage/change-signal.ts';
import type { Clock, Digest, Store } from '../../stream/ports.ts';
import { createShardMap } from '../../stream/shard-map.ts';
import type { ReshardRound } from '../../stream/shard-map.ts';
import { AccountLimits } from './account-limits.ts';
import type { CatalogLimits, NewStream } from './account-limits.ts';
import type { Account } from './account.ts';
import { RETENTION_HOURS_MIN } from './retention.ts';
import type { StateDelay } from './state-delay.ts';
import { streamExists, streamNotActive, streamNotFound } from './stream-errors.ts';
import type { StreamRow } from './stream-row.ts';
import { isAtRest, takeStep } from './stream-steps.ts';
import type { StepParts } from './stream-steps.ts';
import { StreamTable } from './stream-table.ts';
import { StreamTurns } from './stream-turns.ts';

export interface CreateOptions extends NewStream {
  readonly maxRecordKiB?: number;
  readonly warmMiBps?: number;
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

export interface CatalogParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly digest: Digest;
  readonly account: Account;
  readonly limits: CatalogLimits;
  readonly delay: StateDelay;
}

export class StreamCatalog {
  readonly #parts: CatalogParts;
  readonly #steps: StepParts;
  readonly #table: StreamTable;
  readonly #turns: StreamTurns;
  readonly limits: AccountLimits;
  /** Whose state is to last until a timer ends it. */
  readonly #lasting = new Set<string>();
  /** What a timer goes on with. */
  readonly #due = new Set<string>();
  readonly #beforeGone: ((row: StreamRow) => Promise<void>)[] = [];

  private constructor(parts: CatalogParts, table: StreamTable) {
    this.#parts = parts;
    this.#table = table;
    this.limits = new AccountLimits(parts.account, parts.limits, () => table.list());
    this.#steps = {
      log: parts.store.log,
      digest: parts.digest,
      nowMs: () => parts.clock.wallMs(),
      beforeGone: async (row) => {
        for (const remove of this.#beforeGone) await remove(row);
      },
    };
    this.#turns = new StreamTurns((name, status) => {
      const row = table.find(name);
      return row === undefined
        ? streamExists(parts.account, name)
        : streamNotActive(parts.account, { ...row, status });
    });
  }

  /** Reads every row and finishes what a crash interrupted; on a disk that is full, when there is room. */
  static async open(parts: CatalogParts): Promise<StreamCatalog> {
    const catalog = new StreamCatalog(parts, await StreamTable.open(parts.store.meta));
    for (const { name } of catalog.list()) {
      try {
        await catalog.#settle(name);
      } catch (error) {
        if (!isTributaryError(error, 'STORAGE_FULL')) throw error;
      }
    }
    return catalog;
  }

  /** Comes when a row is stored or removed: take it before looking at the row. */
  nextChange(): Change {
    return this.#table.nextChange();
  }

  /** Sorted by name. */
  list(): StreamRow[] {
    return this.#table.list();
  }

  find(name: string): StreamRow | undefined {
    return this.#table.find(name);
  }

  byId(id: string): StreamRow | undefined {
    return this.#table.byId(id);
  }

  /** It is there, and not about to go. */
  isLasting(id: string): boolean {
    const row = this.byId(id);
    return row !== undefined && row.status !== 'DELETING';
  }

  /** Streams that a gateway's records made and that are still there. */
  countMadeFor(gateway: string): number {
    return this.list().filter((row) => row.madeFor === gateway).length;
  }

  /** The stream, or ResourceNotFoundException. */
  get(name: string): StreamRow {
    const row = this.find(name);
    if (row !== undefined) return row;
    throw streamNotFound(this.#parts.account, name);
  }

  /** The stream, for records: one that is still being made is not there yet. */
  active(name: string): StreamRow {
    const row = this.get(name);
    if (row.status !== 'CREATING') return row;
    throw streamNotFound(this.#parts.account, name);
  }

  /** The stream of that name, made when it is not there: of callers that come together all get the same one. */
  ensure(name: string, options: CreateOptions): Promise<StreamRow> {
    return this.#turns.wait(name, () => this.#ensure(name, options));
  }

  /** Resolves when the stream is ACTIVE and its shards are on the disk, or at once when states are to last. */
  create(name: string, options: CreateOptions): Promise<StreamRow> {
    return this.#turns.claim(name, 'CREATING', async () => {
      this.limits.checkCreating(name);
      return this.#create(name, options, (made) => this.#goOn(made));
    });
  }

  /**
   * Stores the row that `change` makes of the ACTIVE stream's, and does what follows from it; throws ResourceInUseException in
   * any other state. `UPDATING`: it is so while shards are split or merged, and for as long as states are to last.
   */
  update(
    name: string,
    change: (row: StreamRow) => StreamRow,
    during: 'ACTIVE' | 'UPDATING' = 'ACTIVE',
  ): Promise<StreamRow> {
    return this.whileActive(name, async (row) => {
      const next = change(row);
      if (next === row) return row;
      const lasts = during === 'UPDATING' && (this.#parts.delay.isHeld || next.reshard !== undefined);
      await this.#table.put(lasts ? { ...next, status: during } : next);
      await (lasts ? this.#goOn(name) : this.#settle(name));
      return this.get(name);
    });
  }

  /**
   * Takes the rounds that `plan` makes for the ACTIVE stream; it is UPDATING meanwhile unless that is kept quiet. Resolves
   * when the last children are there, or at once when states are to last. What a full disk interrupts goes on in a while,
   * or with the next call that meets a closed shard.
   */
  reshard(
    name: string,
    plan: (row: StreamRow) => readonly ReshardRound[],
    { isQuiet = false, note = (row) => row }: ReshardOptions = {},
  ): Promise<StreamRow> {
    const change = (row: StreamRow): StreamRow => {
      const reshard = plan(row);
      if (reshard.length === 0) return row;
      this.limits.checkRounds(row, reshard);
      return { ...note(row), reshard };
    };
    return this.update(name, change, isQuiet ? 'ACTIVE' : 'UPDATING');
  }

  /**
   * The stream as it is once the children of a closed shard are there: writers go to them, readers are told of them.
   * Undefined: the stream is gone.
   */
  async afterReshard(id: string): Promise<StreamRow | undefined> {
    const row = this.byId(id);
    if (row === undefined) return undefined;
    await this.#turns.wait(row.name, () => this.#settle(row.name));
    return this.byId(id);
  }

  /** Runs `task` on the ACTIVE stream, which nothing else changes meanwhile; throws as `update`. */
  async whileActive<T>(name: string, task: (row: StreamRow) => Promise<T>): Promise<T> {
    this.#checkActive(this.get(name));
    return this.#turns.wait(name, async () => {
      await this.#settle(name);
      const row = this.get(name);
      this.#checkActive(row);
      return task(row);
    });
  }

  #checkActive(row: StreamRow): void {
    if (row.status !== 'ACTIVE') throw streamNotActive(this.#parts.account, row);
  }

  /** Resolves when the stream and its records are gone, or at once when states are to last. What `check` throws keeps it. */
  delete(name: string, check: (row: StreamRow) => void = () => undefined): Promise<void> {
    return this.#turns.claim(name, 'DELETING', () => this.#delete(name, check));
  }

  /** Runs before the last trace of a deleted stream is removed, again after a failure; what it removes goes with the stream. */
  beforeGone(remove: (row: StreamRow) => Promise<void>): void {
    this.#beforeGone.push(remove);
  }

  async #ensure(name: string, options: CreateOptions): Promise<StreamRow> {
    await this.#settle(name);
    const row = this.find(name);
    if (row?.status === 'CREATING' || row?.status === 'DELETING')
      throw streamNotActive(this.#parts.account, row);
    return row ?? this.#create(name, options, (made) => this.#settle(made));
  }

  async #create(
    name: string,
    options: CreateOptions,
    goOn: (name: string) => Promise<void>,
  ): Promise<StreamRow> {
    await this.#settle(name);
    if (this.find(name) !== undefined) throw streamExists(this.#parts.account, name);
    const nowMs = this.#parts.clock.wallMs();
    const row: StreamRow = {
      id: randomUUID(),
      name,
      status: 'CREATING',
      mode: options.mode,
      createdAtMs: nowMs,
      retentionHours: RETENTION_HOURS_MIN,
      maxRecordKiB: options.maxRecordKiB ?? 1_024,
      ...(options.warmMiBps === undefined ? {} : { warmMiBps: options.warmMiBps }),
      tags: options.tags ?? {},
      map: createShardMap(options.shardCount, nowMs),
      ...(options.madeFor === undefined ? {} : { madeFor: options.madeFor }),
    };
    return this.limits.whilePromised(name, options, async () => {
      await this.#table.put(row);
      await goOn(name);
      return this.get(name);
    });
  }

  async #delete(name: string, check: (row: StreamRow) => void): Promise<void> {
    const row = this.get(name);
    if (this.#lasting.has(name)) throw streamNotActive(this.#parts.account, row);
    check(row);
    await this.#table.put({ ...row, status: 'DELETING' });
    await this.#goOn(name);
  }

  /** Does what the state of the stream asks for: now, or when the state has lasted. */
  async #goOn(name: string): Promise<void> {
    if (!this.#parts.delay.isHeld) return this.#settle(name);
    this.#lasting.add(name);
    this.#due.add(name);
    this.#parts.delay.after(() => this.#goOnNow(name));
  }

  #goOnNow(name: string): Promise<void> {
    return this.#turns.wait(name, async () => {
      this.#lasting.delete(name);
      await this.#settle(name);
      this.#due.delete(name);
    });
  }

  /** Finishes what a full disk or a crash interrupted. What interrupts it once more is tried again in a while. */
  async #settle(name: string): Promise<void> {
    if (this.#lasting.has(name)) return;
    try {
      await this.#takeSteps(name);
    } catch (error) {
      if (isTributaryError(error) && !this.#due.has(name)) {
        this.#due.add(name);
        this.#parts.delay.again(() => this.#goOnNow(name));
      }
      throw error;
    }
  }

  async #takeSteps(name: string): Promise<void> {
    for (let row = this.find(name); row !== undefined && !isAtRest(row); row = this.find(name)) {
      const next = await takeStep(row, this.#steps);
      await (next === null ? this.#table.remove(row) : this.#table.put(next));
    }
  }
}

// Group commit: decisions queue up while one commit is under way, then are taken in order against the disk and each
// other, and their writes become one transaction. Nothing is reported before it is durable.
import { TributaryError, isTributaryError } from '../stream/errors.ts';

export interface Table {
  get(key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): Promise<boolean>;
  remove(key: Uint8Array): Promise<boolean>;
}

/** What a decision may see and change. Sees the writes of decisions before it. */
export interface Batch {
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  put(table: Table, key: Uint8Array, value: Uint8Array): void;
  del(table: Table, key: Uint8Array): void;
  /** Runs when the batch is durable, before anybody is told. */
  onDurable(effect: () => void): void;
  /** Runs when the batch failed: takes back what the decision changed in memory. */
  onFailed(effect: () => void): void;
}

/** Decides synchronously. Must not change anything in memory before its last throw. */
export type Decide<T> = (batch: Batch) => T;

interface Waiting {
  decide(batch: OpenBatch): void;
  resolve(): void;
  reject(error: unknown): void;
}

/** Lazy changes become durable with the next commit, or after this long. */
const LAZY_MS = 5_000;

export class Committer {
  #queue: Waiting[] = [];
  #lazy: Decide<void>[] = [];
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped: TributaryError | null = null;

  /** Resolves with the decision's result when its writes are durable. */
  submit<T>(decide: Decide<T>): Promise<T> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    return new Promise<T>((resolve, reject) => {
      let result: { value: T } | null = null;
      this.#queue.push({
        decide: (batch) => {
          result = { value: decide(batch) };
        },
        resolve: () => {
          if (result !== null) resolve(result.value);
        },
        reject,
      });
      this.#running ??= this.#run();
    });
  }

  /** Rides in the next commit. */
  stage(decide: Decide<void>): void {
    this.#lazy.push(decide);
    this.#timer ??= setTimeout(() => this.#flushLazy(), LAZY_MS).unref();
  }

  /** Commits what waits, then refuses everything. */
  async close(): Promise<void> {
    if (this.#lazy.length > 0 && this.#stopped === null) await this.submit(() => undefined);
    this.#stopped ??= new TributaryError('STORAGE_CLOSED', 'the store is closed');
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #flushLazy(): void {
    this.#timer = null;
    // A failure is seen by the next writer; lazy changes may be lost by definition.
    this.submit(() => undefined).catch((error: unknown) => void error);
  }

  async #run(): Promise<void> {
    // What is submitted in one turn of the event loop shares a commit.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#commit();
    this.#running = null;
  }

  async #commit(): Promise<void> {
    const waiting = this.#queue;
    const lazy = this.#lazy;
    this.#queue = [];
    this.#lazy = [];
    const batch = new OpenBatch();
    const accepted = waiting.filter((one) => decideOne(batch, one));
    for (const decide of lazy) batch.decide(decide);
    try {
      await batch.write();
    } catch (error) {
      batch.failed();
      this.#lazy = [...lazy, ...this.#lazy];
      const failure = storageError(error);
      if (failure.code === 'STORAGE_FAILED') this.#stopped = failure;
      for (const one of accepted) one.reject(failure);
      return;
    }
    batch.durable();
    for (const one of accepted) one.resolve();
  }
}

function decideOne(batch: OpenBatch, one: Waiting): boolean {
  try {
    batch.decide((open) => one.decide(open));
    return true;
  } catch (error) {
    one.reject(error);
    return false;
  }
}

interface Write {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

class OpenBatch implements Batch {
  readonly #tables = new Map<Table, Map<string, Write>>();
  #staged: Write[] = [];
  #durable: (() => void)[] = [];
  #failed: (() => void)[] = [];

  /** The decision's writes count only if it does not throw. */
  decide(decide: (batch: OpenBatch) => void): void {
    this.#staged = [];
    decide(this);
    for (const write of this.#staged) this.#keep(write);
    this.#staged = [];
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const id = idOf(key);
    const staged = this.#staged.findLast((write) => write.table === table && idOf(write.key) === id);
    const write = staged ?? this.#tables.get(table)?.get(id);
    return write === undefined ? table.get(key) : (write.value ?? undefined);
  }

  put(table: Table, key: Uint8Array, value: Uint8Array): void {
    this.#staged.push({ table, key, value });
  }

  del(table: Table, key: Uint8Array): void {
    this.#staged.push({ table, key, value: null });
  }

  onDurable(effect: () => void): void {
    this.#durable.push(effect);
  }

  onFailed(effect: () => void): void {
    this.#failed.push(effect);
  }

  durable(): void {
    for (const effect of this.#durable) effect();
  }

  failed(): void {
    for (const effect of this.#failed.toReversed()) effect();
  }

  /** All in one turn of the event loop: one transaction. */
  async write(): Promise<void> {
    const writes = [...this.#tables.values()].flatMap((table) => [...table.values()]);
    const results = await Promise.allSettled(
      writes.map(({ table, key, value }) => (value === null ? table.remove(key) : table.put(key, value))),
    );
    for (const [index, result] of results.entries()) {
      if (result.status === 'rejected') throw await rootCause(result.reason);
      if (!result.value && writes[index]?.value !== null) {
        throw new TributaryError('STORAGE_FAILED', 'the engine did not take a write: a key was out of order');
      }
    }
  }

  #keep(write: Write): void {
    const table = this.#tables.get(write.table) ?? new Map<string, Write>();
    this.#tables.set(write.table, table);
    table.set(idOf(write.key), write);
  }
}

/** The engine hides the disk's error in a promise that rejects. */
async function rootCause(error: unknown): Promise<unknown> {
  const hidden =
    typeof error === 'object' && error !== null && 'commitError' in error ? error.commitError : undefined;
  if (hidden === undefined) return error;
  try {
    await (hidden as Promise<unknown>);
    return error;
  } catch (cause) {
    return cause;
  }
}

function storageError(cause: unknown): TributaryError {
  if (isTributaryError(cause)) return cause;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  if (code === 28 || code === 'ENOSPC') {
    return new TributaryError(
      'STORAGE_FULL',
      'the disk is full: nothing was written; make room and try again',
      { cause },
    );
  }
  return new TributaryError(
    'STORAGE_FAILED',
    'the disk failed: nothing more is acknowledged; restart to recover',
    { cause },
  );
}

function idOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

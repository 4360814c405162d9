// Group commit: decisions queue up while one commit is under way, then are taken in order against the disk and each
// other, and their writes become one transaction. Nothing is reported before it is durable.
import { AssertionFailure, TributaryError, isTributaryError } from '../stream/errors.ts';
import { OpenBatch } from './batch.ts';
import type { Decide } from './batch.ts';

export interface Engine {
  /**
   * Everything `write` puts, in one transaction; durable when it resolves. Rejects with STORAGE_FULL when nothing was
   * written and writing may go on once there is room, with any other error when the store must not be trusted again.
   * `bytes`: how much it is, about.
   */
  transact(write: () => readonly Promise<boolean>[], bytes: number): Promise<void>;
}

export interface CommitterOptions {
  /** A commit that takes longer never ends: the engine loses the answer of a failed write of its root page. */
  readonly commitMsMax: number;
  /** Lazy changes become durable with the next commit, or after this long. */
  readonly lazyMs: number;
}

interface Waiting {
  /** Keeps what it throws. */
  decide(batch: OpenBatch): void;
  /** The decision's result or error. */
  settle(): void;
  reject(error: unknown): void;
}

export const COMMIT_MS_MAX = 30_000;
export const LAZY_MS = 5_000;

export class Committer {
  readonly #engine: Engine;
  readonly #options: CommitterOptions;
  readonly #queue: Waiting[] = [];
  #lazy: Decide<void>[] = [];
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped: TributaryError | null = null;
  /** What is lazy may be a trim, which makes room: on a full disk it is tried once without the writes that found none. */
  #rescue: 'none' | 'due' | 'tried' = 'none';

  constructor(engine: Engine, options: CommitterOptions = { commitMsMax: COMMIT_MS_MAX, lazyMs: LAZY_MS }) {
    this.#engine = engine;
    this.#options = options;
  }

  /** Why nothing is accepted any more; null while all is well. */
  get stopped(): TributaryError | null {
    return this.#stopped;
  }

  /**
   * Resolves with the decision's result when its writes are durable. What a decision throws is reported no earlier: it
   * may speak of writes of the same batch.
   */
  submit<T>(decide: Decide<T>): Promise<T> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    return new Promise<T>((resolve, reject) => {
      let settle = (): void => undefined;
      this.#queue.push({
        decide: (batch) => {
          settle = decided(batch, decide, resolve, reject);
        },
        settle: () => settle(),
        reject,
      });
      this.#running ??= this.#run();
    });
  }

  /** Rides in the next commit. Kept until a commit takes it. */
  stage(decide: Decide<void>): void {
    this.#lazy.push(decide);
    this.#arm();
  }

  /** Commits what waits, then refuses everything. Never throws: what could not be committed was lazy or was refused. */
  async close(): Promise<void> {
    if (this.#lazy.length > 0) await this.submit(() => undefined).catch(isRefused);
    this.#stopped ??= new TributaryError('STORAGE_CLOSED', 'the store is closed');
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #arm(): void {
    if (this.#stopped !== null || this.#lazy.length === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      // A failure keeps the lazy changes and is seen by the next writer.
      this.submit(() => undefined).catch(isRefused);
    }, this.#options.lazyMs).unref();
  }

  async #run(): Promise<void> {
    // What is submitted in one turn of the event loop shares a commit.
    await Promise.resolve();
    while (this.#queue.length > 0 || this.#rescue === 'due') await this.#commit(this.#takeWaiting());
    this.#running = null;
  }

  #takeWaiting(): readonly Waiting[] {
    if (this.#rescue !== 'due') return this.#queue.splice(0);
    this.#rescue = 'tried';
    return [];
  }

  async #commit(waiting: readonly Waiting[]): Promise<void> {
    const lazy = this.#lazy;
    this.#lazy = [];
    const batch = new OpenBatch();
    try {
      for (const one of waiting) one.decide(batch);
      for (const decide of lazy) batch.decide(decide);
      if (!batch.isEmpty) await this.#inTime(this.#engine.transact(() => batch.write(), batch.bytes));
    } catch (error) {
      batch.failed();
      this.#lazy = [...lazy, ...this.#lazy];
      this.#refuse(waiting, error);
      return;
    }
    this.#rescue = 'none';
    batch.durable();
    for (const one of waiting) one.settle();
  }

  #refuse(waiting: readonly Waiting[], cause: unknown): void {
    if (cause instanceof AssertionFailure) throw cause;
    const error = failure(cause);
    for (const one of waiting) one.reject(error);
    if (error.code === 'STORAGE_FULL') {
      if (this.#rescue === 'none') this.#rescue = 'due';
      else this.#arm();
      return;
    }
    this.#stopped ??= error;
    for (const one of this.#queue.splice(0)) one.reject(error);
  }

  async #inTime(commit: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | null = null;
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const seconds = this.#options.commitMsMax / 1000;
        reject(
          new TributaryError(
            'STORAGE_FAILED',
            `a commit did not end in ${seconds} s: nothing more is acknowledged; restart to recover`,
          ),
        );
      }, this.#options.commitMsMax);
    });
    try {
      await Promise.race([commit, overdue]);
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }
}

/** Takes a decision; what is returned tells who asked. */
function decided<T>(
  batch: OpenBatch,
  decide: Decide<T>,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): () => void {
  try {
    const value = batch.decide(decide);
    return () => resolve(value);
  } catch (error) {
    const isExpected = isTributaryError(error) || error instanceof AssertionFailure;
    const reported = isExpected ? error : failure(error);
    return () => reject(reported);
  }
}

function failure(cause: unknown): TributaryError {
  if (isTributaryError(cause)) return cause;
  return new TributaryError(
    'STORAGE_FAILED',
    'the disk failed: nothing more is acknowledged; restart to recover',
    { cause },
  );
}

/** Storage errors only: a bug of ours must end the process. */
function isRefused(error: unknown): void {
  if (!isTributaryError(error)) throw error;
}

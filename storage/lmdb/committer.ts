// Group commit: decisions queue up while one commit is under way, then are taken in order against the disk and each
// other, and their writes become one transaction. Nothing is reported before it is durable.
import { AssertionFailure, TributaryError, isTributaryError } from '../../stream/errors.ts';
import { OpenBatch } from './batch.ts';
import type { Decide } from './batch.ts';
import type { CommitSize } from './commit-size.ts';

export interface Engine {
  /**
   * Everything `write` puts, in one transaction; durable when it resolves. Rejects with STORAGE_FULL when nothing was
   * written and writing may go on once there is room, with any other error when the store must not be trusted again.
   * `size`: how much it is, at most.
   */
  transact(write: () => readonly Promise<boolean>[], size: CommitSize): Promise<void>;
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

interface Lazy {
  readonly decide: Decide<void>;
  readonly makesRoom: boolean;
}

export const COMMIT_MS_MAX = 30_000;
export const LAZY_MS = 5_000;

export class Committer {
  readonly #engine: Engine;
  readonly #options: CommitterOptions;
  readonly #queue: Waiting[] = [];
  #lazy = new Map<unknown, Lazy>();
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped: TributaryError | null = null;
  /** What is lazy may make room: on a full disk it is tried once without everything that found none. */
  #isRescueDue = false;

  constructor(engine: Engine, options: CommitterOptions = { commitMsMax: COMMIT_MS_MAX, lazyMs: LAZY_MS }) {
    this.#engine = engine;
    this.#options = options;
  }

  /** Why nothing is accepted any more; null while all is well. */
  get stopped(): TributaryError | null {
    return this.#stopped;
  }

  /** Lazy changes that wait. */
  get staged(): number {
    return this.#lazy.size;
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

  /** Rides in the next commit. Kept until a commit takes it, or another one for the same key takes its place. */
  stage(key: unknown, decide: Decide<void>, makesRoom = false): void {
    this.#lazy.set(key, { decide, makesRoom });
    this.#arm();
  }

  /** Commits what waits, then refuses everything. Never throws: what could not be committed was lazy or was refused. */
  async close(): Promise<void> {
    if (this.#lazy.size > 0) await this.submit(() => undefined).catch(isRefused);
    this.#stopped ??= new TributaryError('STORAGE_CLOSED', 'the store is closed');
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #arm(): void {
    if (this.#stopped !== null || this.#lazy.size === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      // A failure keeps the lazy changes and is seen by the next writer.
      this.submit(() => undefined).catch(isRefused);
    }, this.#options.lazyMs).unref();
  }

  async #run(): Promise<void> {
    // What is submitted in one turn of the event loop shares a commit.
    await Promise.resolve();
    while (this.#queue.length > 0 || this.#isRescueDue) {
      const isRescue = this.#isRescueDue;
      this.#isRescueDue = false;
      await this.#commit(isRescue ? [] : this.#queue.splice(0), isRescue);
    }
    this.#running = null;
    this.#arm();
  }

  async #commit(waiting: readonly Waiting[], isRescue: boolean): Promise<void> {
    const lazy = this.#takeLazy(isRescue);
    const batch = new OpenBatch();
    try {
      for (const one of waiting) one.decide(batch);
      for (const { decide } of lazy.values()) batch.decide(decide);
      if (!batch.isEmpty) await this.#inTime(this.#engine.transact(() => batch.write(), batch.size));
    } catch (error) {
      batch.failed();
      // What was staged meanwhile for the same key is newer.
      this.#lazy = new Map([...lazy, ...this.#lazy]);
      this.#refuse(waiting, error, isRescue);
      return;
    }
    batch.durable();
    for (const one of waiting) one.settle();
  }

  #takeLazy(isRescue: boolean): ReadonlyMap<unknown, Lazy> {
    const lazy = [...this.#lazy];
    this.#lazy = new Map(lazy.filter(([, { makesRoom }]) => isRescue && !makesRoom));
    return new Map(lazy.filter(([, { makesRoom }]) => !isRescue || makesRoom));
  }

  #refuse(waiting: readonly Waiting[], cause: unknown, isRescue: boolean): void {
    if (cause instanceof AssertionFailure) throw cause;
    const error = failure(cause);
    for (const one of waiting) one.reject(error);
    if (error.code === 'STORAGE_FULL') {
      this.#isRescueDue = !isRescue && [...this.#lazy.values()].some(({ makesRoom }) => makesRoom);
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

// Keeps what the log writes to the card within a daily budget: while that is spent, commits wait for company. What is
// left of the budget outlives a restart, so that a program that starts over and over does not get it anew each time.
import { WearBudget } from '../storage/wear-budget.ts';
import type { CommitPace } from '../storage/linger.ts';
import type { Clock, Log, Store } from '../stream/ports.ts';

export interface LogWearParts {
  readonly store: Pick<Store, 'meta' | 'writtenBytes'>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface WearStatus {
  /** What the log gave to the disk since the start, with what the file system writes beside it. */
  readonly writtenBytes: number;
  /** Bytes that may be written without waiting; null: there is no budget. */
  readonly creditBytes: number | null;
}

const LEVEL_KEY = 'wear/level';
/** How much is spent before what is left is noted, with the next commit. */
const NOTED_EVERY_SHARE = 1 / 256;
const WARN_INTERVAL_MS = 3_600_000;

export class LogWear implements CommitPace {
  readonly #parts: LogWearParts;
  readonly #budget: WearBudget;
  readonly #bytesPerDay: number;
  #writtenBytes = 0;
  #notedBytes = 0;
  #warnedMs = -Infinity;

  private constructor(parts: LogWearParts, bytesPerDay: number, levelBytes: number) {
    this.#parts = parts;
    this.#bytesPerDay = bytesPerDay;
    this.#budget = new WearBudget(parts.clock, bytesPerDay, levelBytes);
  }

  /** `bytesPerDay` 0: no budget. */
  static async open(parts: LogWearParts, bytesPerDay: number): Promise<LogWear> {
    if (bytesPerDay === 0) return new LogWear(parts, Infinity, Infinity);
    const noted = await parts.store.meta.get(LEVEL_KEY);
    const levelBytes = noted === null ? Number.NaN : Number(Buffer.from(noted.value).toString());
    return new LogWear(parts, bytesPerDay, Number.isFinite(levelBytes) ? levelBytes : bytesPerDay);
  }

  get status(): WearStatus {
    this.#settle();
    const { levelBytes } = this.#budget;
    return {
      writtenBytes: this.#writtenBytes,
      creditBytes: levelBytes === Infinity ? null : Math.round(levelBytes),
    };
  }

  waitMs(): number {
    if (this.#bytesPerDay === Infinity) return 0;
    this.#settle();
    const waitMs = this.#budget.waitMs();
    if (waitMs > 0) this.#warn();
    return waitMs;
  }

  /** Notes what is left. Durable when the store is closed. */
  close(): void {
    this.#settle();
    this.#note();
  }

  #settle(): void {
    const writtenBytes = this.#parts.store.writtenBytes();
    this.#budget.spend(writtenBytes - this.#writtenBytes);
    this.#writtenBytes = writtenBytes;
    if (writtenBytes - this.#notedBytes > this.#bytesPerDay * NOTED_EVERY_SHARE) this.#note();
  }

  #note(): void {
    if (this.#bytesPerDay === Infinity) return;
    this.#notedBytes = this.#writtenBytes;
    const level = Math.round(this.#budget.levelBytes).toString();
    this.#parts.store.meta.putLazy(LEVEL_KEY, Buffer.from(level));
  }

  #warn(): void {
    const nowMs = Number(this.#parts.clock.monotonicUs()) / 1_000;
    if (nowMs - this.#warnedMs < WARN_INTERVAL_MS) return;
    this.#warnedMs = nowMs;
    this.#parts.log.warn('wear budget is spent: commits wait for company, alarms do not', {
      writtenBytesPerDay: this.#bytesPerDay,
      writtenBytes: this.#writtenBytes,
      fix: 'send less often or in larger messages, or raise log.writtenBytesPerDay',
    });
  }
}

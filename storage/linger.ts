// How long the next commit waits for company: as long as the pace asks for and everybody who waits may be kept waiting,
// and no longer than it takes to fill a block. A commit takes all that waits along, so an alarm ends everybody's waiting.
import { BLOCK_BYTES_TARGET } from '../stream/limits.ts';
import type { Clock } from '../stream/ports.ts';
import type { RecordClass } from '../stream/record.ts';

export interface CommitPace {
  /** How long the next commit should wait from now on, in milliseconds. */
  waitMs(): number;
}

/** How long a record is kept waiting at most. */
export const LINGER_MS_MAX: Readonly<Record<RecordClass, number>> = { alarm: 0, normal: 1_000, bulk: 30_000 };

export class Linger {
  readonly #clock: Clock;
  readonly #pace: CommitPace | undefined;
  #dueMs = Infinity;
  #waitingBytes = 0;
  #wake: (() => void) | null = null;
  #isEnded = false;

  constructor(clock: Clock, pace: CommitPace | undefined) {
    this.#clock = clock;
    this.#pace = pace;
  }

  /** Somebody waits now; `waitingBytes`: with all others. `lingerMsMax`: what the caller itself can wait. */
  joined(recordClass: RecordClass, waitingBytes: number, lingerMsMax = Infinity): void {
    if (this.#pace === undefined) return;
    const dueMs = this.#nowMs() + Math.min(LINGER_MS_MAX[recordClass], lingerMsMax);
    const isSooner = dueMs < this.#dueMs;
    if (isSooner) this.#dueMs = dueMs;
    this.#waitingBytes = waitingBytes;
    if (isSooner || this.#isFull) this.#wake?.();
  }

  /** Resolves when the commit is due. Who joins from then on belongs to the next one. */
  async over(): Promise<void> {
    for (let restMs = this.#restMs(); restMs > 0; restMs = this.#restMs()) await this.#sleep(restMs);
    this.#dueMs = Infinity;
    this.#waitingBytes = 0;
  }

  /** Nothing lingers any more. */
  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  get #isFull(): boolean {
    return this.#waitingBytes >= BLOCK_BYTES_TARGET;
  }

  #restMs(): number {
    if (this.#pace === undefined || this.#isEnded || this.#isFull) return 0;
    return Math.min(this.#dueMs - this.#nowMs(), this.#pace.waitMs());
  }

  async #sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, Math.ceil(ms));
    });
    this.#wake = null;
    clearTimeout(timer);
  }

  #nowMs(): number {
    return Number(this.#clock.monotonicUs()) / 1_000;
  }
}

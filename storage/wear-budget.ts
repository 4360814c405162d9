// What may be written to the disk: a token bucket. Flash wears by bytes written, and a commit costs some 20 KB whatever it
// holds, so who writes often pays for little data.
import type { Clock } from '../stream/ports.ts';

const DAY_US = 86_400_000_000n;
const US_PER_MS = 1_000;
/** Debt beyond what this time earns is forgiven: a burst must not slow commits for long after it. */
const DEBT_MS_MAX = 30_000;

export class WearBudget {
  readonly #clock: Clock;
  readonly #bytesPerUs: number;
  readonly #capacityBytes: number;
  #levelBytes: number;
  #settledUs: bigint;

  /** `bytesPerDay`: what is earned, and what may be saved up; Infinity for no bound. Starts with a full day. */
  constructor(clock: Clock, bytesPerDay: number, levelBytes = bytesPerDay) {
    this.#clock = clock;
    this.#capacityBytes = bytesPerDay;
    this.#bytesPerUs = bytesPerDay / Number(DAY_US);
    this.#levelBytes = Math.min(bytesPerDay, levelBytes);
    this.#settledUs = clock.monotonicUs();
  }

  /** Bytes that may be written without waiting; below 0 while there is debt. */
  get levelBytes(): number {
    this.#earn();
    return this.#levelBytes;
  }

  spend(bytes: number): void {
    this.#earn();
    const debtMax = this.#bytesPerUs * US_PER_MS * DEBT_MS_MAX;
    this.#levelBytes = Math.max(-debtMax, this.#levelBytes - bytes);
  }

  /** Until writing is within the budget again, in milliseconds; 0 while it is. */
  waitMs(): number {
    const debtBytes = -this.levelBytes;
    return debtBytes <= 0 ? 0 : debtBytes / (this.#bytesPerUs * US_PER_MS);
  }

  #earn(): void {
    if (this.#capacityBytes === Infinity) return;
    const nowUs = this.#clock.monotonicUs();
    const earned = Number(nowUs - this.#settledUs) * this.#bytesPerUs;
    this.#levelBytes = Math.min(this.#capacityBytes, this.#levelBytes + earned);
    this.#settledUs = nowUs;
  }
}

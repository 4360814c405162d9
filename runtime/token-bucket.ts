// A rate with a burst: tokens come at a steady pace up to a capacity, and who finds too few waits.

export interface Rate {
  /** Infinity: no bound. */
  readonly perSecond: number;
  /** Tokens that may be saved up. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  #level: number;
  #settledMs: number;

  /** Full at first. Times are monotonic, milliseconds: a step of the wall clock gives nobody more. */
  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#settledMs = nowMs;
  }

  /** Whether `count` tokens are there; a full bucket gives more than it holds, once, and owes them. */
  has(count: number, nowMs: number): boolean {
    return Math.min(count, this.#rate.burst) <= this.#settle(nowMs);
  }

  /** Below zero it owes: nothing is there until that is earned. */
  spend(count: number, nowMs: number): void {
    this.#settle(nowMs);
    this.#level -= count;
  }

  /** Spends what is there, or nothing. */
  take(count: number, nowMs: number): boolean {
    if (!this.has(count, nowMs)) return false;
    this.#level -= count;
    return true;
  }

  /** Until nothing is owed any more, milliseconds. */
  waitMs(nowMs: number): number {
    const owed = -this.#settle(nowMs);
    return owed <= 0 ? 0 : (owed * 1_000) / this.#rate.perSecond;
  }

  #settle(nowMs: number): number {
    const { perSecond, burst } = this.#rate;
    if (perSecond === Infinity) this.#level = Infinity;
    else this.#level = Math.min(burst, this.#level + ((nowMs - this.#settledMs) * perSecond) / 1_000);
    this.#settledMs = nowMs;
    return this.#level;
  }
}

/** As many at once as come in a second, and one at least. */
export function perSecond(count: number): Rate {
  return { perSecond: count, burst: Math.max(1, count) };
}

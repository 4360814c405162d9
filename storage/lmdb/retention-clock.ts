// The time that deleting goes by. A clock that was wrong for a second must not take the records of years with it: what
// seems to have expired is hidden at once, but deleted only when the clock has stood by its word for a while.
import { CLOCK_STEP_CLAMP_MS } from '../../stream/limits.ts';
import type { Clock } from '../../stream/ports.ts';

/** How long a clock that stepped ahead must keep its new time. */
export const CLOCK_CONFIRM_MS = 3_600_000;

interface Step {
  readonly aheadMs: number;
  readonly sinceUs: bigint;
}

export class RetentionClock {
  readonly #clock: Clock;
  readonly #confirmMs: number;
  #trustedMs: number;
  #trustedAtUs: bigint;
  #step: Step | null = null;

  /** `trustedMs`: a time that has certainly come, as the newest arrival. */
  constructor(clock: Clock, trustedMs: number, confirmMs = CLOCK_CONFIRM_MS) {
    this.#clock = clock;
    this.#confirmMs = confirmMs;
    this.#trustedMs = trustedMs;
    this.#trustedAtUs = clock.monotonicUs();
  }

  nowMs(): number {
    const wallMs = this.#clock.wallMs();
    const monotonicUs = this.#clock.monotonicUs();
    const expectedMs = this.#trustedMs + Number(monotonicUs - this.#trustedAtUs) / 1000;
    const aheadMs = wallMs - expectedMs;
    if (aheadMs <= CLOCK_STEP_CLAMP_MS || this.#isConfirmed(aheadMs, monotonicUs)) {
      this.#trustedMs = wallMs;
      this.#trustedAtUs = monotonicUs;
      this.#step = null;
      return wallMs;
    }
    return expectedMs;
  }

  /** The step is the same for as long as it takes. */
  #isConfirmed(aheadMs: number, monotonicUs: bigint): boolean {
    if (this.#step === null || Math.abs(aheadMs - this.#step.aheadMs) > CLOCK_STEP_CLAMP_MS) {
      this.#step = { aheadMs, sinceUs: monotonicUs };
    }
    return Number(monotonicUs - this.#step.sinceUs) / 1000 >= this.#confirmMs;
  }
}

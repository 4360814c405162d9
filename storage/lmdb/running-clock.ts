// Time that stands still while the program does not run: ages by it do not grow in a drawer, and no clock that jumps ages
// anything. It goes on where the newest thing it stamped left off, so it never goes back.
import type { Clock } from '../../stream/ports.ts';

export class RunningClock implements Clock {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #startedUs: bigint;

  constructor(clock: Clock, startMs: number) {
    this.#clock = clock;
    this.#startMs = startMs;
    this.#startedUs = clock.monotonicUs();
  }

  wallMs(): number {
    return this.#startMs + Number((this.monotonicUs() - this.#startedUs) / 1_000n);
  }

  monotonicUs(): bigint {
    return this.#clock.monotonicUs();
  }
}

// When to try again: at once after a good session, then with full jitter, so that a thousand gateways that lost
// their server together do not come back together.

export const FIRST_DELAY_MS = 1_000;
export const DELAY_MAX_MS = 15_000;

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** `random` is in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** A session was good: the next delay is at most FIRST_DELAY_MS again. */
  reset(): void {
    this.#failures = 0;
  }

  nextDelayMs(): number {
    const cap = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** this.#failures);
    // Beyond the cap more failures change nothing.
    if (cap < DELAY_MAX_MS) this.#failures += 1;
    return this.#random() * cap;
  }
}

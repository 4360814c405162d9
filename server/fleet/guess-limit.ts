// How many wrong enrolment codes are taken: so many a minute from one address, and from all of them together.

const PER_ADDRESS_MAX = 10;
const IN_ALL_MAX = 200;
const WINDOW_MS = 60_000;
/** Addresses remembered; beyond it the one that was quiet for longest is forgotten, the total still holds. */
const ADDRESSES_MAX = 10_000;

interface Window {
  startedAtMs: number;
  count: number;
}

export class GuessLimit {
  readonly #now: () => number;
  readonly #windows = new Map<string, Window>();
  readonly #total: Window = { startedAtMs: 0, count: 0 };

  /** `now` is monotonic: a step of the wall clock gives nobody more guesses. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts an attempt before it is judged, so that many at once are no way around; false: too many. */
  take(address: string): boolean {
    const window = this.#windowOf(address);
    const total = this.#fresh(this.#total);
    if (window.count >= PER_ADDRESS_MAX || total.count >= IN_ALL_MAX) return false;
    window.count += 1;
    total.count += 1;
    return true;
  }

  /** The attempt was no guess. */
  giveBack(address: string): void {
    const window = this.#windows.get(address);
    if (window !== undefined) window.count = Math.max(0, window.count - 1);
    this.#total.count = Math.max(0, this.#total.count - 1);
  }

  #windowOf(address: string): Window {
    const known = this.#windows.get(address) ?? { startedAtMs: 0, count: 0 };
    this.#windows.delete(address);
    this.#windows.set(address, known);
    if (this.#windows.size > ADDRESSES_MAX) {
      const [oldest] = this.#windows.keys();
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    return this.#fresh(known);
  }

  #fresh(window: Window): Window {
    const nowMs = this.#now();
    if (nowMs - window.startedAtMs < WINDOW_MS && window.startedAtMs !== 0) return window;
    window.startedAtMs = nowMs;
    window.count = 0;
    return window;
  }
}

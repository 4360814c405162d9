// How many new lanes one gateway may begin: every incarnation is a row that the server keeps for as long as the shard, so
// that a gateway that starts new ones without end would fill the store with them.
import { TributaryError } from '../../stream/errors.ts';

/** A sound gateway begins a lane for each stream and class, and another one when its disk was restored. */
export const NEW_LANES_MAX = 4_096;
const WINDOW_MS = 24 * 3_600_000;

interface Window {
  readonly startedAtMs: number;
  count: number;
}

/** Counts since the server started: it does not outlive it. */
export class LaneQuota {
  readonly #now: () => number;
  readonly #windows = new Map<string, Window>();

  /** `now` is monotonic: a step of the wall clock gives nobody more lanes. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Throws BUSY when the gateway has begun as many lanes as it may. */
  check(gateway: string): void {
    if (this.#windowOf(gateway).count < NEW_LANES_MAX) return;
    throw new TributaryError(
      'BUSY',
      `gateway ${gateway} has begun ${NEW_LANES_MAX} lanes within a day, which no sound gateway does; its new lanes are taken again a day later, or after a restart of the server`,
    );
  }

  /** Counted before the disk has it, so that many at once are no way around. */
  add(gateway: string): void {
    this.#windowOf(gateway).count += 1;
  }

  /** The disk did not take it. */
  giveBack(gateway: string): void {
    const window = this.#windowOf(gateway);
    window.count = Math.max(0, window.count - 1);
  }

  #windowOf(gateway: string): Window {
    const nowMs = this.#now();
    const known = this.#windows.get(gateway);
    if (known !== undefined && nowMs - known.startedAtMs < WINDOW_MS) return known;
    const fresh = { startedAtMs: nowMs, count: 0 };
    this.#windows.set(gateway, fresh);
    return fresh;
  }
}

// The data key that seals the blocks of one stream now, and when it is to be asked after or replaced.
import { KEY_USES_MAX } from './keyring.ts';
import type { DataKey, SealingKeys } from './sealed-block.ts';

/** As AWS does: for so long a plain data key is used without asking its named key again. */
export const PROVED_MS = 5 * 60_000;
/** For so long a stream keeps its data key. */
const USED_MS = 24 * 3_600_000;

export interface SealingParts {
  /** Monotonic, milliseconds. */
  readonly nowMs: () => number;
  /** A new data key, wrapped by the named key, durable. */
  readonly make: (named: string) => Promise<DataKey>;
  /** Resolves when the data key may still be used. */
  readonly proved: (id: number) => Promise<unknown>;
}

interface Active {
  readonly dataKey: DataKey;
  readonly named: string;
  readonly madeMs: number;
  provedMs: number;
  usesLeft: number;
}

export class StreamSealing implements SealingKeys {
  readonly #parts: SealingParts;
  #named = '';
  #active: Active | null = null;
  /** It was ready in this turn of the event loop. */
  #taken: Active | null = null;
  #refilling: Promise<void> | null = null;

  constructor(parts: SealingParts) {
    this.#parts = parts;
  }

  /** The same, sealing by that named key from now on. */
  with(named: string): this {
    this.#named = named;
    return this;
  }

  get isReady(): boolean {
    const active = this.#active;
    return this.#isUsable(active) && this.#parts.nowMs() - active.provedMs < PROVED_MS;
  }

  take(): DataKey | null {
    const active = this.#active;
    if (active === null || active.named !== this.#named || active.usesLeft === 0) return null;
    // What is sealed in one turn shares a commit: a part that waits would be refused by a shard that is closed meanwhile.
    if (this.#taken !== active) {
      if (!this.isReady) return null;
      this.#taken = active;
      queueMicrotask(() => (this.#taken = null));
    }
    active.usesLeft -= 1;
    return active.dataKey;
  }

  refill(): Promise<void> {
    this.#refilling ??= this.#refill().finally(() => {
      this.#refilling = null;
    });
    return this.#refilling;
  }

  async renew(named: string): Promise<void> {
    const dataKey = await this.#parts.make(named);
    const nowMs = this.#parts.nowMs();
    this.#active = { dataKey, named, madeMs: nowMs, provedMs: nowMs, usesLeft: KEY_USES_MAX };
  }

  async #refill(): Promise<void> {
    const active = this.#active;
    if (!this.#isUsable(active)) return this.renew(this.#named);
    await this.#parts.proved(active.dataKey.id);
    active.provedMs = this.#parts.nowMs();
  }

  #isUsable(active: Active | null): active is Active {
    if (active === null || active.named !== this.#named || active.usesLeft === 0) return false;
    return this.#parts.nowMs() - active.madeMs < USED_MS;
  }
}

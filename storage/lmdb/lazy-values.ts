// Values that are visible and not yet durable. A durable write of the same key makes a lazy one void.
import type { MetaEntry } from '../../stream/ports.ts';
import { compareKeys } from '../meta-entry.ts';

export interface LazyValue {
  /** null: deleted. */
  readonly value: Uint8Array | null;
  /** The batch under way has it, or a later durable write; readers see it until that is durable. */
  isVoid: boolean;
}

export class LazyValues {
  readonly #values = new Map<string, LazyValue>();

  set(key: string, value: Uint8Array | null): LazyValue {
    const lazy = { value, isVoid: false };
    this.#values.set(key, lazy);
    return lazy;
  }

  get(key: string): LazyValue | undefined {
    return this.#values.get(key);
  }

  /** Unless a newer one has taken its place. */
  settle(key: string, lazy: LazyValue): void {
    if (this.#values.get(key) === lazy) this.#values.delete(key);
  }

  /** Stored entries (in key order) as they look with the lazy ones over them. */
  *over(stored: Iterable<MetaEntry>, prefix: string): Generator<MetaEntry> {
    const keys = [...this.#values.keys()].filter((key) => key.startsWith(prefix)).toSorted(compareKeys);
    let at = 0;
    for (const entry of stored) {
      for (; at < keys.length && compareKeys(keys[at] ?? '', entry.key) < 0; at += 1)
        yield* this.#entry(keys[at] ?? '');
      if (keys[at] === entry.key) at += 1;
      const lazy = this.#values.get(entry.key);
      if (lazy === undefined) yield entry;
      else if (lazy.value !== null) yield { ...entry, value: lazy.value };
    }
    for (; at < keys.length; at += 1) yield* this.#entry(keys[at] ?? '');
  }

  *#entry(key: string): Generator<MetaEntry> {
    const lazy = this.#values.get(key);
    if (lazy !== undefined && lazy.value !== null)
      yield { key, value: lazy.value, revision: UNSTORED_REVISION };
  }
}

/** Of a lazy value that replaces nothing stored. */
export const UNSTORED_REVISION = 0n;

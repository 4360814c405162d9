// The data keys of a store: one that seals new blocks, all that open old ones. A key is used a bounded number of times,
// counted durably before it is used, because random nonces may repeat after too many.
import { TributaryError, assert } from '../../stream/errors.ts';
import type { Clock, Meta } from '../../stream/ports.ts';
import type { MasterKey } from '../../runtime/master-key.ts';
import { blockKeyName, encodeKeyRow, keyRowOf } from './key-table.ts';
import type { KeyRow } from './key-table.ts';
import type { DataKey, SealingKeys } from './sealed-block.ts';

/** NIST SP 800-38D, 8.3: at most 2^32 with random nonces. */
export const KEY_USES_MAX = 2 ** 30;
/** Uses that are counted at once: a start costs one small commit, and so does every so many blocks. */
export const USES_AT_ONCE = 2 ** 22;
/** With fewer left the next ones are counted already. */
const USES_LOW = USES_AT_ONCE / 4;

export class Keyring implements SealingKeys {
  readonly #keys = new Map<number, { readonly key: Uint8Array; readonly row: KeyRow }>();
  readonly #clock: Clock;
  #sealing: { readonly meta: Meta; readonly master: MasterKey } | null = null;
  #active: DataKey | null = null;
  #usesLeft = 0;
  #refilling: Promise<void> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A key of the table. */
  add(id: number, key: Uint8Array, row: KeyRow): void {
    this.#keys.set(id, { key, row });
  }

  /** From now on blocks are sealed, with keys that `master` wraps. */
  startSealing(meta: Meta, master: MasterKey): void {
    this.#sealing = { meta, master };
  }

  get isSealing(): boolean {
    return this.#sealing !== null;
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0;
  }

  /** Throws KEY_INVALID. */
  readonly find = (id: number): Uint8Array => {
    const known = this.#keys.get(id);
    if (known !== undefined) return known.key;
    throw new TributaryError(
      'KEY_INVALID',
      `a block is sealed with data key ${id}, which the store's table of keys does not have; restore the store from its backup`,
    );
  };

  get isReady(): boolean {
    return this.#active !== null && this.#usesLeft > 0;
  }

  take(): DataKey | null {
    if (this.#active === null || this.#usesLeft === 0) return null;
    this.#usesLeft -= 1;
    // A failure is seen when none is left.
    if (this.#usesLeft < USES_LOW) this.refill().catch(() => undefined);
    return this.#active;
  }

  /** Uses are counted durably before they are taken. */
  refill(): Promise<void> {
    this.#refilling ??= this.#refill().finally(() => {
      this.#refilling = null;
    });
    return this.#refilling;
  }

  /** A new key for what comes, whatever the last one has been used for. Durable when resolved, with its name. */
  async renew(): Promise<string> {
    const { meta, master } = this.#parts();
    const id = this.#newest() + 1;
    const name = blockKeyName(id);
    const { plain, wrapped } = await master.generate(name);
    const row = keyRowOf(master, wrapped, this.#clock.wallMs(), USES_AT_ONCE);
    await meta.put(name, encodeKeyRow(row), 'absent');
    this.add(id, plain, row);
    this.#active = { id, key: plain };
    this.#usesLeft = USES_AT_ONCE;
    return name;
  }

  async #refill(): Promise<void> {
    const { meta, master } = this.#parts();
    const id = this.#newest();
    const known = this.#keys.get(id);
    const isUsable = known !== undefined && known.row.fingerprint === master.fingerprint;
    if (!isUsable || known.row.uses + USES_AT_ONCE > KEY_USES_MAX) {
      await this.renew();
      return;
    }
    const row = { ...known.row, uses: known.row.uses + USES_AT_ONCE };
    await meta.put(blockKeyName(id), encodeKeyRow(row), 'any');
    this.add(id, known.key, row);
    this.#usesLeft = this.#active?.id === id ? this.#usesLeft + USES_AT_ONCE : USES_AT_ONCE;
    this.#active = { id, key: known.key };
  }

  #newest(): number {
    return [...this.#keys.keys()].reduce((newest, id) => Math.max(newest, id), 0);
  }

  #parts(): { readonly meta: Meta; readonly master: MasterKey } {
    assert(this.#sealing !== null, 'a keyring that seals has a master key');
    return this.#sealing;
  }
}

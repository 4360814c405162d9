// The keys of one data folder: the master key of the settings, those that older rows of the table of keys need, the data
// keys they wrap, and the sealer of the program's secrets. A key that is missing or wrong is found before anything is
// written.
import { existsSync } from 'node:fs';
import { TributaryError, assert } from '../../stream/errors.ts';
import type { Clock, Meta, MetaEntry } from '../../stream/ports.ts';
import { createKeyFile, missingKeyFile, readKeyFile, sealerOf } from '../../runtime/key-provider.ts';
import type { SealedStore, Sealer } from '../../runtime/key-provider.ts';
import { keyPlaceOf, localMasterKey, openMasterKey } from '../../runtime/master-key.ts';
import type { KeyPlaces, KeySetting, MasterKey } from '../../runtime/master-key.ts';
import {
  KEYS_PREFIX,
  SECRETS_KEY,
  blockKeyId,
  decodeKeyRow,
  encodeKeyRow,
  keyRowOf,
  unwrapRow,
} from './key-table.ts';
import type { KeyRow } from './key-table.ts';
import { Keyring } from './keyring.ts';

export interface VaultOptions {
  readonly places: KeyPlaces;
  readonly store: SealedStore;
  /** What wraps the keys of new blocks; null: new blocks are not sealed. */
  readonly sealWith: KeySetting | null;
  /** Rows of the map with this prefix are secrets: by one of them a wrong key is known before anything is written. */
  readonly secretsPrefix: string;
  readonly clock: Clock;
}

/** Rows of the store's map. */
type List = (prefix: string) => Iterable<Pick<MetaEntry, 'key' | 'value'>>;

/** The key file of the data folder. Its own bytes seal the secrets, as long as the table has no key for them. */
export const FOLDER_KEY: KeySetting = { provider: 'file' };

/** Where the next key file lies while the table is wrapped anew. */
export function nextKeyFile(keyFile: string): string {
  return `${keyFile}.next`;
}

export class Vault {
  readonly keyring: Keyring;
  readonly #options: VaultOptions;
  readonly #master: MasterKey | null;
  readonly #isNew: boolean;
  /** Master keys that were opened, by fingerprint. */
  readonly #masters = new Map<string, MasterKey>();
  #secrets: Uint8Array | null = null;
  #isSecretsKeyKept = false;

  private constructor(options: VaultOptions) {
    const { sealWith, places, store } = options;
    this.#options = options;
    this.#isNew = !existsSync(store.storeFile);
    this.keyring = new Keyring(options.clock);
    if (sealWith === null || isFolderKey(sealWith)) {
      const key = readKeyFile(places.keyFile);
      if (key === null && this.#isNew) createKeyFile(places.keyFile);
    }
    this.#master = sealWith === null ? null : this.#openMaster(sealWith);
    this.#rememberNext(FOLDER_KEY);
  }

  /** Before the store is opened. Throws KEY_INVALID when the master key of the settings is not to be had. */
  static open(options: VaultOptions): Vault {
    return new Vault(options);
  }

  /**
   * A hook of openLmdbStore: opens every row of the table of keys. Throws KEY_INVALID, or BUSY when a key service cannot be
   * reached.
   */
  readonly admit = async (list: List): Promise<void> => {
    for (const entry of list(KEYS_PREFIX)) {
      const row = decodeKeyRow(entry);
      const plain = await unwrapRow(entry.key, row, this.#masterOf(entry.key, row));
      const id = blockKeyId(entry.key);
      if (id !== null) this.keyring.add(id, plain, row);
      else if (entry.key === SECRETS_KEY) {
        this.#secrets = plain;
        this.#isSecretsKeyKept = true;
      }
    }
    const [first] = list('');
    this.#secrets ??= this.#folderKey(first === undefined);
    const [secret] = list(this.#options.secretsPrefix);
    if (secret !== undefined) sealerOf(this.#secretsKey()).open(secret.value, secret.key);
  };

  /** What opens the secrets of the program. From here on blocks are sealed, if they are to be. */
  async attach(meta: Meta): Promise<Sealer> {
    const { sealWith } = this.#options;
    const master = this.#master;
    if (master !== null && sealWith !== null) {
      if (!isFolderKey(sealWith)) await this.keepSecretsKey(meta, master);
      this.keyring.startSealing(meta, master);
    }
    return sealerOf(this.#secretsKey());
  }

  /** The key in a row of the table. */
  keyIn(name: string): Uint8Array {
    const id = blockKeyId(name);
    return id === null ? this.#secretsKey() : this.keyring.find(id);
  }

  /** Puts what seals the secrets into the table, once: from then on no key file is needed for them. */
  async keepSecretsKey(meta: Meta, master: MasterKey): Promise<void> {
    if (this.#isSecretsKeyKept) return;
    const { plain, wrapped } =
      this.#secrets === null
        ? await master.generate(SECRETS_KEY)
        : { plain: this.#secrets, wrapped: await master.wrap(this.#secrets, SECRETS_KEY) };
    const row = keyRowOf(master, wrapped, this.#options.clock.wallMs(), 0);
    await meta.put(SECRETS_KEY, encodeKeyRow(row), 'absent');
    this.#secrets = plain;
    this.#isSecretsKeyKept = true;
  }

  #secretsKey(): Uint8Array {
    assert(this.#secrets !== null, 'a store is admitted before its secrets are opened');
    return this.#secrets;
  }

  /** Null: nothing is sealed yet, and the settings say that the table is to have the key. */
  #folderKey(isEmpty: boolean): Uint8Array | null {
    const { places, store, sealWith } = this.#options;
    const key = readKeyFile(places.keyFile);
    const isElsewhere = sealWith !== null && !isFolderKey(sealWith);
    if (key === null && !(isElsewhere && isEmpty)) throw missingKeyFile(places.keyFile, store);
    return key;
  }

  #masterOf(name: string, row: KeyRow): MasterKey {
    const { places, store } = this.#options;
    if (isFolderKey(row.master) && readKeyFile(places.keyFile) === null) {
      throw new TributaryError(
        'KEY_INVALID',
        `key file ${places.keyFile} is missing, and keys of ${store.storeFile} are wrapped with it; restore it from its backup: without it nothing opens what is sealed`,
      );
    }
    const known = this.#masters.get(row.fingerprint) ?? this.#openMaster(row.master);
    // An interrupted rotation has left the next key file beside it.
    const wanted = this.#masters.get(row.fingerprint);
    if (wanted !== undefined) return wanted;
    throw new TributaryError(
      'KEY_INVALID',
      `${keyPlaceOf(row.master, places)} is not the key of this store: its fingerprint is ${known.fingerprint}, ${name} was wrapped by ${row.fingerprint}; restore the right key from its backup, nothing was changed`,
    );
  }

  #openMaster(setting: KeySetting): MasterKey {
    const { places, store } = this.#options;
    if (isFolderKey(setting) && readKeyFile(places.keyFile) === null)
      throw missingKeyFile(places.keyFile, store);
    const master = openMasterKey(setting, places);
    this.#masters.set(master.fingerprint, master);
    this.#rememberNext(setting);
    return master;
  }

  #rememberNext(setting: KeySetting): void {
    if (setting.provider !== 'file') return;
    const key = readKeyFile(nextKeyFile(setting.path ?? this.#options.places.keyFile));
    if (key === null) return;
    const next = localMasterKey(key, setting);
    this.#masters.set(next.fingerprint, next);
  }
}

function isFolderKey(setting: KeySetting): boolean {
  return setting.provider === 'file' && setting.path === undefined;
}

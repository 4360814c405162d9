// A new master key for a store, and a new data key for what comes. No block is rewritten: the rows of the table of keys are
// wrapped anew, one after the other, each durably. In between some rows need the old master key and some the new one, so
// the old one is kept until all are durable.
import { renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Meta } from '../../stream/ports.ts';
import { createKeyFile, readKeyFile } from '../../runtime/key-provider.ts';
import { syncPath } from '../../runtime/whole-file.ts';
import { localMasterKey } from '../../runtime/master-key.ts';
import type { KeySetting, MasterKey } from '../../runtime/master-key.ts';
import { KEYS_PREFIX, decodeKeyRow, encodeKeyRow } from './key-table.ts';
import { FOLDER_KEY, nextKeyFile } from './vault.ts';
import type { Vault } from './vault.ts';

export interface Rotation {
  /** Rows that were wrapped anew; not those that an interrupted rotation had reached. */
  readonly rewrapped: number;
  /** The data key of new blocks; null: blocks are not sealed. */
  readonly dataKey: string | null;
}

/** A new key in a key file's place; takes up what a crash interrupted. Durable when resolved. */
export async function rotateKeyFile(
  meta: Meta,
  vault: Vault,
  keyFile: string,
  setting: KeySetting = FOLDER_KEY,
): Promise<Rotation> {
  const path = nextKeyFile(keyFile);
  const next = localMasterKey(readKeyFile(path) ?? createKeyFile(path), setting);
  const rotation = await rotateTo(meta, vault, next);
  renameSync(path, keyFile);
  syncPath(dirname(keyFile));
  return rotation;
}

/** To a master key that is there and stays. */
export async function rotateTo(meta: Meta, vault: Vault, next: MasterKey): Promise<Rotation> {
  // While the key file itself seals the secrets, it cannot be replaced.
  await vault.keepSecretsKey(meta, next);
  let rewrapped = 0;
  for await (const { key: name, value, revision } of meta.list(KEYS_PREFIX)) {
    const row = decodeKeyRow({ key: name, value });
    // KMS may have other key material under the same id by now.
    if (row.fingerprint === next.fingerprint && next.setting.provider !== 'aws-kms') continue;
    const wrapped = Buffer.from(await next.wrap(vault.keyIn(name), name)).toString('base64');
    const { setting: master, fingerprint } = next;
    await meta.put(name, encodeKeyRow({ ...row, master, fingerprint, wrapped }), revision);
    rewrapped += 1;
  }
  if (vault.keyring.isEmpty) return { rewrapped, dataKey: null };
  vault.keyring.startSealing(meta, next);
  return { rewrapped, dataKey: await vault.keyring.renew() };
}

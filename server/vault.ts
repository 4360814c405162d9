// The keys of a server's data folder, and what an operator can do when they are lost.
import { systemClock } from '../runtime/clock.ts';
import type { DataFolder } from '../runtime/data-folder.ts';
import type { KeySetting } from '../runtime/master-key.ts';
import { Vault } from '../storage/seal/vault.ts';
import { SECRETS_PREFIX } from './access/server-secrets.ts';

export function openVault(
  { keyFile, storeFile }: DataFolder,
  sealWith: KeySetting | null,
  env: NodeJS.ProcessEnv,
): Vault {
  return Vault.open({
    sealWith,
    secretsPrefix: SECRETS_PREFIX,
    places: { keyFile, env },
    store: {
      storeFile,
      lastResort: 'start with another --data: without the key nothing in this one proves who may read it',
    },
    clock: systemClock,
  });
}

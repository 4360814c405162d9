// The keys of a gateway's data folder, and what an operator can do when they are lost.
import { systemClock } from '../runtime/clock.ts';
import type { DataFolder } from '../runtime/data-folder.ts';
import type { KeySetting } from '../runtime/master-key.ts';
import { Vault } from '../storage/seal/vault.ts';
import { IDENTITY_KEY } from './identity-store.ts';

export function openVault({ path, keyFile, storeFile }: DataFolder, sealWith: KeySetting | null): Vault {
  return Vault.open({
    sealWith,
    secretsPrefix: IDENTITY_KEY,
    places: { keyFile, env: process.env },
    store: {
      storeFile,
      lastResort: `give its identity up, keep its records and enrol it anew: tributary identity reset ${path} --yes`,
    },
    clock: systemClock,
  });
}

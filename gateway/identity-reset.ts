// Gives a copied data folder an identity of its own: what the original has delivered stays the original's, what is still
// here becomes this gateway's, and the next enrolment makes a new key.
import { existsSync } from 'node:fs';
import { systemClock } from '../runtime/clock.ts';
import { dataFolderOf } from '../runtime/data-folder.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { DisposeStack } from '../runtime/dispose-stack.ts';
import { lockFolder } from '../runtime/folder-lock.ts';
import { openFileKey } from '../runtime/key-provider.ts';
import { openLog } from '../runtime/log-writer.ts';
import { openLmdbStore } from '../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../storage/record-log.ts';
import { KEYS_PREFIX } from '../storage/seal/key-table.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import type { Vault } from '../storage/seal/vault.ts';
import type { Meta } from '../stream/ports.ts';
import { IdentityStore } from './identity-store.ts';
import { KEPT_TWICE } from './kept-twice.ts';
import { LocalLog } from './local-log.ts';
import { openVault } from './vault.ts';

/** Answers the id that was given up and the records that wait. Throws BUSY while the gateway runs. */
export async function resetIdentity(dataFolder: string): Promise<{ former: string | null; records: number }> {
  const parts = new DisposeStack();
  try {
    parts.use(await lockFolder(dataFolder));
    const folder = dataFolderOf(dataFolder, 'gateway');
    let vault: Vault | null = null;
    const admit: Vault['admit'] = async (list) => {
      const [sealed] = list(KEYS_PREFIX);
      if (sealed === undefined) return;
      vault = openVault(folder, null);
      await vault.admit(list);
    };
    const store = parts.use(
      await openLmdbStore({
        path: folder.storeFile,
        clock: systemClock,
        layout: 'perShard',
        admit,
        copied: KEPT_TWICE,
      }),
    );
    const run = openRunIdentity();
    const records = new RecordLog(store.log, run, systemClock, nodeDigest);
    const log = openLog('gateway', { level: 'warn' });
    const local = parts.use(
      await LocalLog.open(
        { store, records, run: run.run, clock: systemClock, digest: nodeDigest, log },
        { capBytes: Infinity, acknowledgedRetentionMs: Infinity, whenFull: 'reject', retentionMs: null },
      ),
    );
    const identities = await openIdentity(store.meta, folder.keyFile, vault);
    const former = identities.identity?.gateway ?? null;
    for (const lane of local.lanes()) await lane.startIncarnation(lane.acknowledged);
    await identities.forget();
    return { former, records: local.unsentRecords };
  } finally {
    await parts.close();
  }
}

async function openIdentity(meta: Meta, keyFile: string, vault: Vault | null): Promise<IdentityStore> {
  if (vault !== null) return IdentityStore.open(meta, await vault.attach(meta));
  // First: a key made beside what another one sealed would look like the wrong key.
  if (!existsSync(keyFile)) await IdentityStore.erase(meta);
  return IdentityStore.open(meta, openFileKey(keyFile));
}

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
import { openLmdbStore } from '../storage/lmdb-store.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import { IdentityStore } from './identity-store.ts';
import { LocalLog } from './local-log.ts';

/** Answers the id that was given up and the records that wait. Throws BUSY while the gateway runs. */
export async function resetIdentity(dataFolder: string): Promise<{ former: string | null; records: number }> {
  const parts = new DisposeStack();
  try {
    parts.use(await lockFolder(dataFolder));
    const folder = dataFolderOf(dataFolder, 'gateway');
    const store = parts.use(
      await openLmdbStore({ path: folder.storeFile, clock: systemClock, layout: 'perShard' }),
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
    // First: a key made beside what another one sealed would look like the wrong key.
    if (!existsSync(folder.keyFile)) await IdentityStore.erase(store.meta);
    const identities = await IdentityStore.open(store.meta, openFileKey(folder.keyFile));
    const former = identities.identity?.gateway ?? null;
    for (const lane of local.lanes()) await lane.startIncarnation(lane.acknowledged);
    await identities.forget();
    return { former, records: local.unsentRecords };
  } finally {
    await parts.close();
  }
}

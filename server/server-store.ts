// What the server keeps: its folder, its keys, and the one store that holds records and small state, sealed where asked.
import { codecFor } from '../runtime/codecs.ts';
import { openDataFolder } from '../runtime/data-folder.ts';
import type { DataFolder } from '../runtime/data-folder.ts';
import type { DisposeStack } from '../runtime/dispose-stack.ts';
import { keySettingOf } from '../runtime/encryption-config.ts';
import { lockFolder } from '../runtime/folder-lock.ts';
import type { Sealer } from '../runtime/key-provider.ts';
import { seldom } from '../runtime/seldom.ts';
import { guardStore } from '../runtime/storage-guard.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import { openStore } from '../storage/salvage/store-recovery.ts';
import { KEYS_PREFIX } from '../storage/seal/key-table.ts';
import { sealStore } from '../storage/seal/seal-store.ts';
import { STREAM_KEYS_PREFIX, StreamKeys } from '../storage/seal/stream-keys.ts';
import { rememberFailure } from '../storage/verify/store-probe.ts';
import type { Store } from '../stream/ports.ts';
import { openSecret } from './access/server-secrets.ts';
import { USERS_PREFIX } from './access/users.ts';
import type { ServerConfig } from './config.ts';
import { NamedKeys } from './kinesis/named-keys.ts';
import type { ServerBase } from './server-base.ts';
import { openVault } from './vault.ts';

export interface ServerStore {
  readonly folder: DataFolder;
  readonly sealer: Sealer;
  readonly store: Store;
  readonly records: RecordLog;
  /** The keys that streams may be encrypted with. */
  readonly named: NamedKeys;
  readonly streamKeys: StreamKeys;
  /** False once the disk has failed. */
  readonly isHealthy: () => boolean;
}

/**
 * Without them sealed records could not be opened, nobody could sign, no gateway would be known, and no stream or consumer
 * found.
 */
const KEPT_TWICE = [
  KEYS_PREFIX,
  STREAM_KEYS_PREFIX,
  'secret/',
  'access-key/',
  USERS_PREFIX,
  'gateway/',
  'stream/',
  'consumer/',
  'account/',
];

/** Clients try again and again. */
const FULL_TOLD_MS = 60_000;

/** What must be closed goes onto `parts`. `onFailed`: the disk failed, and nothing more is acknowledged. */
export async function openServerStore(
  config: ServerConfig,
  { clock, digest, account, env, metrics, log }: ServerBase,
  parts: DisposeStack,
  onFailed: (error: Error) => void,
): Promise<ServerStore> {
  const folder = openDataFolder(config.dataFolder, 'server');
  parts.use(await lockFolder(folder.path));
  const vault = openVault(folder, keySettingOf(config.encryption), env);
  const { onDamage } = config.storage;
  const disk = parts.use(
    await openStore({
      path: folder.storeFile,
      clock,
      onDamage,
      log: log.child('storage'),
      admit: vault.admit,
      copied: KEPT_TWICE,
    }),
  );
  const sealer = await vault.attach(disk.meta);
  const named = new NamedKeys({
    account,
    configs: config.keys,
    places: { keyFile: folder.keyFile, env },
    builtIn: await openSecret(disk.meta, sealer, 'kinesis-key'),
    log: log.child('keys'),
  });
  const streamKeys = await StreamKeys.open({ meta: disk.meta, clock, masterOf: named.masterOf });
  let isHealthy = true;
  const store = guardStore(
    sealStore(disk, vault.keyring, digest, streamKeys),
    (error) => {
      isHealthy = false;
      rememberFailure(folder.storeFile);
      onFailed(error);
    },
    seldom(clock, FULL_TOLD_MS, (error) => log.warn('disk is full', { error })),
  );
  const damaged = metrics.counter(
    'tributary_damaged_records_total',
    'Records that readers passed over because their block is damaged on the disk',
  );
  const records = new RecordLog(store.log, openRunIdentity(), clock, digest, {
    clockSync: () => 'unknown',
    pendingBytesMax: config.limits.pendingBytesMax,
    compression: codecFor(config.storage.compression),
    onDamaged: ({ ref, recordCount, error }) => {
      damaged.add(recordCount);
      log.error('damaged records are passed over', { ...ref, records: recordCount, reason: error.message });
    },
  });
  parts.defer(() => records.flush());
  return { folder, sealer, store, records, named, streamKeys, isHealthy: () => isHealthy };
}

// The keys of a data folder, a server's or a gateway's, for the command line: listed while its program runs, rotated while
// it does not.
import { existsSync } from 'node:fs';
import { systemClock } from '../runtime/clock.ts';
import { dataFolderOf } from '../runtime/data-folder.ts';
import type { DataFolder } from '../runtime/data-folder.ts';
import { DisposeStack } from '../runtime/dispose-stack.ts';
import { lockFolder } from '../runtime/folder-lock.ts';
import { keyPlaceOf, openMasterKey } from '../runtime/master-key.ts';
import type { KeySetting } from '../runtime/master-key.ts';
import { KEYS_PREFIX, SECRETS_KEY, decodeKeyRow } from '../storage/seal/key-table.ts';
import type { KeyRow } from '../storage/seal/key-table.ts';
import { openLmdbStore } from '../storage/lmdb/lmdb-store.ts';
import { readMeta } from '../storage/seal/read-meta.ts';
import { rotateKeyFile, rotateTo } from '../storage/seal/rotate-keys.ts';
import type { Rotation } from '../storage/seal/rotate-keys.ts';
import { FOLDER_KEY, Vault } from '../storage/seal/vault.ts';
import { TributaryError } from '../stream/errors.ts';
import { SECRETS_PREFIX } from './access/server-secrets.ts';

export interface ListedKey {
  readonly id: string;
  readonly seals: 'blocks' | 'secrets';
  readonly master: string;
  readonly fingerprint: string;
  readonly createdAt: string;
  /** Blocks it may have sealed, at most. */
  readonly uses: number;
}

const PROGRAMS = ['server', 'gateway'] as const;

/** Null: there is no store in it. */
function storeIn(dataFolder: string): (DataFolder & { readonly program: (typeof PROGRAMS)[number] }) | null {
  for (const program of PROGRAMS) {
    const folder = dataFolderOf(dataFolder, program);
    if (existsSync(folder.storeFile)) return { ...folder, program };
  }
  return null;
}

/** Null: it is no data folder. Opens nothing for writing. */
export async function listKeys(dataFolder: string): Promise<ListedKey[] | null> {
  const folder = storeIn(dataFolder);
  if (folder === null) return null;
  const places = { keyFile: folder.keyFile, env: process.env };
  const rows = await readMeta(folder.storeFile, KEYS_PREFIX);
  return rows.map((entry) => {
    const { master, fingerprint, createdMs, uses } = decodeKeyRow(entry);
    return {
      id: entry.key.slice(KEYS_PREFIX.length),
      seals: entry.key === SECRETS_KEY ? 'secrets' : 'blocks',
      master: keyPlaceOf(master, places),
      fingerprint,
      createdAt: new Date(createdMs).toISOString(),
      uses,
    };
  });
}

export interface Rotated extends Rotation {
  /** Where the master key is now. */
  readonly master: string;
}

/**
 * `to`: another master key; null: a new one where the newest is. Null: it is no data folder. Throws BUSY while its program
 * runs, KEY_INVALID when a key is missing or wrong; then nothing was changed.
 */
export async function rotateKeys(dataFolder: string, to: KeySetting | null): Promise<Rotated | null> {
  const folder = storeIn(dataFolder);
  if (folder === null) return null;
  if (to?.provider === 'aws-kms' && folder.program === 'gateway') {
    const text = 'a gateway must start without a network: its keys cannot be wrapped by aws-kms';
    throw new TributaryError('CONFIG_INVALID', `${text}; use a key file or a systemd credential`);
  }
  return DisposeStack.building(async (parts) => {
    parts.use(await lockFolder(folder.path));
    const rotated = await rotateIn(folder, to, parts);
    await parts.close();
    return rotated;
  });
}

async function rotateIn(
  { keyFile, storeFile, program }: NonNullable<ReturnType<typeof storeIn>>,
  to: KeySetting | null,
  parts: DisposeStack,
): Promise<Rotated> {
  const places = { keyFile, env: process.env };
  const store = { storeFile, lastResort: 'rotate nothing: what is sealed cannot be read without it' };
  const secretsPrefix = program === 'gateway' ? 'identity' : SECRETS_PREFIX;
  const vault = Vault.open({ sealWith: null, secretsPrefix, places, store, clock: systemClock });
  let current: KeySetting = FOLDER_KEY;
  const { meta } = parts.use(
    await openLmdbStore({
      path: storeFile,
      clock: systemClock,
      layout: program === 'gateway' ? 'perShard' : 'shared',
      copied: [KEYS_PREFIX, secretsPrefix],
      admit: async (list) => {
        await vault.admit(list);
        current = newestOf([...list(KEYS_PREFIX)].map(decodeKeyRow)) ?? FOLDER_KEY;
      },
    }),
  );
  const target = to ?? renewable(current);
  const rotation =
    to === null && target.provider === 'file'
      ? await rotateKeyFile(meta, vault, target.path ?? keyFile, target)
      : await rotateTo(meta, vault, openMasterKey(target, places));
  return { ...rotation, master: keyPlaceOf(target, places) };
}

function newestOf(rows: readonly KeyRow[]): KeySetting | undefined {
  return rows.toSorted((a, b) => b.createdMs - a.createdMs)[0]?.master;
}

/** A credential is made by systemd, not here. */
function renewable(setting: KeySetting): KeySetting {
  if (setting.provider !== 'systemd-credential') return setting;
  throw new TributaryError(
    'CONFIG_INVALID',
    `the keys are wrapped by systemd credential ${setting.name}, which only systemd-creds can make: make another one and name it with --credential`,
  );
}

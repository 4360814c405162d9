// Opens a program's store whatever state it is in: a damaged one is set aside, never deleted, and what is whole of it goes
// on. Every step may be the last one of a program that is killed: the next start goes on from there.
import { existsSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { makeMarker } from '../../runtime/whole-file.ts';
import { TributaryError } from '../../stream/errors.ts';
import type { Log, Store } from '../../stream/ports.ts';
import { openLmdbStore } from '../lmdb/lmdb-store.ts';
import type { LmdbOptions } from '../lmdb/lmdb-store.ts';
import { quarantined, resumeSwap, salvagingPath, swapStores } from './quarantine.ts';
import { salvageInChild } from './salvage-process.ts';
import type { SalvageReport } from './salvage.ts';
import { isDamage, storageError } from '../lmdb/storage-error.ts';
import { readMeta } from '../seal/read-meta.ts';
import { forgetFailure } from '../verify/store-probe.ts';

export const ON_DAMAGE = ['salvage', 'refuse'] as const;
export type OnDamage = (typeof ON_DAMAGE)[number];

export interface RecoveryOptions extends LmdbOptions {
  readonly onDamage: OnDamage;
  readonly log: Log;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

const NOTES_TOLD = 20;

/** Throws what openLmdbStore throws; damage only when that is asked for, or when even salvaging fails. */
export async function openStore(options: RecoveryOptions): Promise<Store> {
  const { path } = options;
  resumeSwap(path);
  if (!existsSync(path)) await findMissing(options);
  const store = await openSalvaged(options);
  try {
    noteMade(path);
    return store;
  } catch (error) {
    await store.close();
    throw storageError(error, dirname(path), 0);
  }
}

async function openSalvaged(options: RecoveryOptions): Promise<Store> {
  const { path, log } = options;
  try {
    return await openLmdbStore(options);
  } catch (error) {
    if (!isDamage(error)) throw error;
    if (options.onDamage === 'refuse') throw refused(options, error);
    log.error('the store is damaged; what is whole of it is salvaged', { path, error: error.message });
    await salvageInPlace(options);
  }
  return openLmdbStore(options);
}

/** An empty file beside the store, on the disk before anybody relies on the store: it says that there was one. */
function noteMade(path: string): void {
  const marker = madeMarkerOf(path);
  if (!existsSync(marker)) makeMarker(marker);
}

function madeMarkerOf(path: string): string {
  return `${path}.made`;
}

/** Of a store that nobody has open. The damaged file is kept under another name. */
export async function salvageInPlace(
  options: Pick<RecoveryOptions, 'path' | 'layout' | 'clock' | 'log' | 'onProgress' | 'admit'>,
  from = options.path,
): Promise<SalvageReport & { readonly quarantinedFile: string }> {
  const { path, layout = 'shared', clock, log, onProgress } = options;
  const targetPath = salvagingPath(path);
  const salvaged = await salvageInChild({
    damagedPath: from,
    targetPath,
    layout,
    wallMs: clock.wallMs(),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  await admitTarget(targetPath, options.admit);
  const quarantinedFile = swapStores(path, targetPath, clock.wallMs()) ?? from;
  forgetFailure(path);
  const report = { ...salvaged, damagedFile: quarantinedFile, salvagedFile: path };
  log.error('store salvaged', {
    path,
    quarantined: quarantinedFile,
    records: report.records,
    lostRecords: report.lostRecords,
    lostRows: report.lostRows,
    streams: report.streams,
    notes: report.notes.slice(0, NOTES_TOLD),
  });
  return { ...report, quarantinedFile };
}

/** A wrong key is found before the damaged store gives up its name. */
async function admitTarget(targetPath: string, admit: RecoveryOptions['admit']): Promise<void> {
  if (admit === undefined) return;
  try {
    const entries = await readMeta(targetPath, '');
    await admit((prefix) => entries.filter(({ key }) => key.startsWith(prefix)));
  } catch (error) {
    rmSync(targetPath, { force: true });
    throw error;
  } finally {
    rmSync(`${targetPath}-lock`, { force: true });
  }
}

/** Never a new, empty store in silence where there was one. */
async function findMissing(options: RecoveryOptions): Promise<void> {
  const { path, log, onDamage } = options;
  const newest = quarantined(path).at(-1);
  const marker = madeMarkerOf(path);
  if (newest === undefined && !existsSync(marker)) return;
  const what = `${basename(path)} is missing from ${dirname(path)}`;
  if (onDamage === 'refuse') {
    const rest =
      newest === undefined
        ? `restore it from its backup, start with another --data, or remove ${marker} to start with an empty one`
        : `a damaged one is set aside: tributary log salvage ${newest} --to ${path}`;
    throw new TributaryError('STORAGE_FAILED', `${what}; ${rest}`);
  }
  if (newest === undefined) {
    log.error('the store is missing: it starts empty', { path });
    return;
  }
  log.error('the store is missing; what is whole of the one set aside is salvaged', { path, from: newest });
  await salvageInPlace(options, newest);
}

function refused({ path }: RecoveryOptions, error: TributaryError): TributaryError {
  const folder = dirname(path);
  const text = `${error.message}; to go on with what is whole of it, run \`tributary log salvage ${folder}\`, or set onDamage to salvage`;
  return new TributaryError('STORAGE_FAILED', text, { cause: error });
}

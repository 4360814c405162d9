// `tributary log salvage`: by hand what a program does at its start, and to any file that the operator names.
import { existsSync, readdirSync, renameSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { lockFolder } from '../../runtime/folder-lock.ts';
import { TributaryError } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import { syncFile } from '../lmdb/format-migration.ts';
import { resumeSwap, salvagingPath } from './quarantine.ts';
import { salvageInChild } from './salvage-process.ts';
import type { SalvageReport } from './salvage.ts';
import type { LmdbLayout } from '../lmdb/store-format.ts';
import { salvageInPlace } from './store-recovery.ts';
import { verifyFolder } from '../verify/verify.ts';

export interface HandOptions {
  /** A file that is not there yet; without it the salvaged store takes the place of the damaged one, which is kept. */
  readonly to?: string | undefined;
  readonly log: Log;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

const STORE_SUFFIX = '.mdb';

/**
 * `path`: the data folder of a program, or a store file. Null: it is sound, nothing was done. Throws BUSY while a program
 * has it open, CONFIG_INVALID when there is no store or a place is taken.
 */
export async function salvageByHand(path: string, options: HandOptions): Promise<SalvageReport | null> {
  const file = storeIn(resolve(path));
  if (options.to === undefined) return inPlace(file, options);
  const to = resolve(options.to);
  if (existsSync(to)) throw invalid(`${to} is there already; name a file that is not`);
  const targetPath = salvagingPath(to);
  const { log: _log, to: _to, onProgress } = options;
  const layout = layoutOf(file);
  const wallMs = systemClock.wallMs();
  const report = await salvageInChild({ damagedPath: file, targetPath, layout, wallMs, onProgress });
  renameSync(targetPath, to);
  syncFile(dirname(to));
  return { ...report, salvagedFile: to };
}

async function inPlace(file: string, { log, onProgress }: HandOptions): Promise<SalvageReport | null> {
  if (!file.endsWith(STORE_SUFFIX)) throw invalid(`${file} is set aside; say where to: --to FILE`);
  const lock = await lockFolder(dirname(file));
  try {
    resumeSwap(file);
    if ((await verifyFolder(file)).ok) return null;
    const { quarantinedFile: _file, ...report } = await salvageInPlace({
      path: file,
      layout: layoutOf(file),
      clock: systemClock,
      log,
      onProgress,
    });
    return report;
  } finally {
    await lock.close();
  }
}

function storeIn(path: string): string {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined)
    throw invalid(`there is no ${path}; give the data folder of a program or a store file`);
  if (!status.isDirectory()) return path;
  const names = readdirSync(path).filter((name) => name.endsWith(STORE_SUFFIX));
  const [name, ...more] = names;
  if (name !== undefined && more.length === 0) return join(path, name);
  const found = names.length === 0 ? 'no store (*.mdb)' : `several stores (${names.join(', ')})`;
  throw invalid(`there is ${found} in ${path}; give the file`);
}

/** Of a store that does not say it any more. */
function layoutOf(file: string): LmdbLayout {
  return basename(file).startsWith('gateway') ? 'perShard' : 'shared';
}

function invalid(text: string): TributaryError {
  return new TributaryError('CONFIG_INVALID', text);
}

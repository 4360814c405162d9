// `tributary log verify DIR`: checks every store in a folder, each in a process of its own.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TributaryError } from '../../stream/errors.ts';
import { beforeOpening } from '../lmdb/before-opening.ts';
import { freeListDamageOf, lookAtFile } from '../pages/store-file.ts';
import { verifyInChild } from './verify-process.ts';
import { ReportBuilder } from './verify-report.ts';
import type { VerifyReport } from './verify-report.ts';

export type { Damage, DamageKind, VerifyReport } from './verify-report.ts';

const STORE_SUFFIX = '.mdb';
/** What programs call a store that they set aside, or kept before they changed it. */
const ASIDE = /\.mdb\.(damaged-|v\d+-backup|salvaged)/;
const LOCK_SUFFIX = '-lock';

/** `path`: a folder, or one store file. Throws CONFIG_INVALID when there is no such folder or no right to it, STORAGE_FAILED when
 * nobody could look. Opens no store for writing. */
export async function verifyFolder(path: string): Promise<VerifyReport> {
  const report = new ReportBuilder();
  for (const file of storeFiles(path, report)) {
    beforeOpening(file, 'read');
    if (!isStore(file, report)) continue;
    const answer = await verifyInChild(file, 'whole');
    if (!answer.isCertain) throw unknown(file, answer.report);
    report.add(answer.report);
    const freeList = freeListDamageOf(file);
    if (freeList !== null) report.damage('free-list', null, `${file}: ${freeList}`);
  }
  return report.report();
}

/** The stores of a folder, or the file itself. Throws CONFIG_INVALID when there is none. */
export function storeFilesIn(path: string): string[] {
  const files = storeFiles(path, new ReportBuilder());
  if (files.length > 0 && files.every((file) => existsSync(file))) return files;
  throw new TributaryError('CONFIG_INVALID', `there is no store (*.mdb) at ${path}`);
}

function storeFiles(path: string, report: ReportBuilder): string[] {
  const isFile = !(existsSync(path) && statSync(path).isDirectory());
  const isStoreName = path.endsWith(STORE_SUFFIX) || (ASIDE.test(path) && !path.endsWith(LOCK_SUFFIX));
  if (isFile && isStoreName) return [path];
  if (!existsSync(path)) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `there is no folder ${path}; give the data folder of a program`,
    );
  }
  if (!statSync(path).isDirectory()) {
    throw new TributaryError('CONFIG_INVALID', `${path} is neither a folder nor a file that ends in .mdb`);
  }
  const names = readdirSync(path).filter((name) => name.endsWith(STORE_SUFFIX));
  if (names.length === 0) report.damage('missing-file', null, `there is no store (*.mdb) in ${path}`);
  return names.toSorted().map((name) => join(path, name));
}

/** Whoever cannot look must not call it damaged: sound stores would be salvaged. */
function unknown(file: string, { damage: [end] }: VerifyReport): TributaryError {
  const text = `${file} could not be verified: ${end?.detail ?? 'no reason was given'}; nothing is known of it, try again`;
  return new TributaryError('STORAGE_FAILED', text);
}

function isStore(file: string, report: ReportBuilder): boolean {
  const state = lookAtFile(file);
  if (state === 'absent') report.damage('missing-file', null, `${file} is missing`);
  else if (state === 'empty') report.damage('empty-file', null, `${file} is empty: what it held is lost`);
  else if (state === 'no-store') {
    const text = `${file} does not start as a store does: it is damaged or something else`;
    report.damage('not-a-store', null, text);
  } else return true;
  return false;
}

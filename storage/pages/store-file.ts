// What can be said of a store file without the engine's library: that one may be ended with a signal by a damaged file.
import { statSync } from 'node:fs';
import { readFreeList } from './free-list.ts';
import { PageFile } from './page-file.ts';
import type { RootPage } from './page-file.ts';

const ATTEMPTS_MAX = 20;

/**
 * `short`: pages are missing at its end. That is no proof: a sound file may lack pages that were given up before they were
 * written.
 */
export type FileState = 'absent' | 'empty' | 'no-store' | 'short' | 'whole';

/** What the list of free pages lacks, null when nothing is wrong. For a file that is a store. */
export function freeListDamageOf(path: string): string | null {
  return PageFile.read(path, (file) => {
    for (let attempt = 1; ; attempt += 1) {
      const root = newestRoot(file);
      if (root === null) return 'its root pages cannot be read';
      const { damage } = readFreeList(file, root);
      // A program that writes may have used the pages again since.
      const isStill = newestRoot(file)?.transaction === root.transaction;
      if (damage === null || (isStill && attempt > 1)) return damage;
      if (attempt === ATTEMPTS_MAX) return null;
    }
  });
}

/** Null when there is no such file or its root pages cannot be read. */
export function newestTransactionOf(path: string): bigint | null {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
  return PageFile.read(path, newestRoot)?.transaction ?? null;
}

export function lookAtFile(path: string): FileState {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return 'absent';
  return PageFile.read(path, stateOf);
}

function stateOf(file: PageFile): FileState {
  if (file.sizeBytes === 0) return 'empty';
  const newest = newestRoot(file);
  if (newest === null) return 'no-store';
  const neededBytes = (newest.lastPage + 1n) * BigInt(newest.pageBytes);
  // Asked last: a program that writes makes it longer.
  return BigInt(file.sizeBytes) < neededBytes ? 'short' : 'whole';
}

/** Null when one of the two is none. */
export function newestRoot(file: PageFile): RootPage | null {
  const { roots } = file;
  return roots.length === 2 ? (roots[0] ?? null) : null;
}

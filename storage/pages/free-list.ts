// The list of a store file's free pages. The engine's library shows it to nobody, trusts it blindly when it writes, and
// is ended with a signal by a damaged one.
import type { PageFile, RootPage } from './page-file.ts';
import { byNumber, freePagesOf } from './page-entries.ts';
import type { FreeRun } from './page-entries.ts';
import { PageSet, PageTrees } from './page-tree.ts';

export interface FreeList {
  readonly pages: PageSet;
  readonly count: number;
  /** What is wrong with it, null when nothing is. */
  readonly damage: string | null;
}

export function readFreeList(file: PageFile, root: RootPage): FreeList {
  const damages: string[] = [];
  const trees = new PageTrees(file, (text) => damages.push(text));
  const pages = new PageSet(trees.pages);
  let count = 0;
  for (const entry of trees.entries(root.freeRoot, byNumber)) {
    const value = trees.valueOf(entry);
    const runs = value === null ? null : freePagesOf(value);
    if (value !== null && runs === null) damages.push('one of its lists is too long');
    for (const run of runs ?? []) {
      pages.add(run.first, run.count);
      count += run.count;
    }
  }
  const [damage] = damages;
  return {
    pages,
    count,
    damage: damage === undefined ? null : `the list of its free pages is damaged (${damage})`,
  };
}

export interface UsablePages {
  readonly count: number;
  /** Of them side by side. */
  readonly longestRun: number;
}

/**
 * Free pages that the next commit may use: those freed before transaction `oldest`, which the oldest reader sees. Null when
 * the list cannot be followed, as when it is being written.
 */
export function usablePages(file: PageFile, root: RootPage, oldest: bigint): UsablePages | null {
  let isWhole = true;
  const trees = new PageTrees(file, () => {
    isWhole = false;
  });
  const runs: FreeRun[] = [];
  for (const entry of trees.entries(root.freeRoot, byNumber)) {
    if (entry.key.readBigUInt64LE(0) >= oldest) continue;
    const value = trees.valueOf(entry);
    const freed = value === null ? null : freePagesOf(value);
    if (freed === null) return null;
    runs.push(...freed);
  }
  return isWhole ? measured(runs) : null;
}

function measured(runs: readonly FreeRun[]): UsablePages {
  let [count, longestRun, run, next] = [0, 0, 0, -1];
  for (const one of runs.toSorted((a, b) => a.first - b.first)) {
    run = one.first === next ? run + one.count : one.count;
    next = one.first + one.count;
    count += one.count;
    longestRun = Math.max(longestRun, run);
  }
  return { count, longestRun };
}

// How much of the disk a commit may take, at most: what the engine asks for before anything is handed to its library.

/** Pages of the engine, 4 KiB whatever the kernel's page size is: larger ones wear a card 2.4 times as much. */
export const PAGE_BYTES = 4096;
/** A longer value has pages of its own; a shorter one may split the page it shares. */
const SHARED_VALUE_BYTES_MAX = 2_000;
const ENTRY_HEAD_BYTES = 32;
/** Pages from the root of a table to a leaf, each written anew, and as many for the table of tables. */
const PATH_PAGES = 8;
/** Up to here every key is taken to be on a leaf of its own; beyond it the table is asked how many it has. */
const KEYS_UNASKED_MAX = 64;
/** What rows beside deletions may have for the commit to count as one that makes room. */
const FREEING_PUT_BYTES_MAX = 64 * 1024;

export interface CommitSize {
  readonly bytes: number;
  /** Pages in a row that the longest value needs. */
  readonly runPages: number;
  /** Deletes, and puts nothing but what says so: it may use what is held back from all others. */
  readonly isFreeing: boolean;
}

/** A row or two. */
export const SMALL_COMMIT: CommitSize = { bytes: 16 * PAGE_BYTES, runPages: 1, isFreeing: true };

export interface SizedTable {
  /** Pages that keys are in. */
  treePages(): number;
}

export interface SizedWrite {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  /** Deleted right behind the one before: the page of that one is used again, none is added. */
  readonly isNext: boolean;
}

/** `isGrowing`: it adds records, which nobody takes away unless there is room left for that. */
export function commitSize(
  tables: Iterable<readonly [SizedTable, Iterable<SizedWrite>]>,
  drops: number,
  isGrowing: boolean,
): CommitSize {
  let bytes = drops * PATH_PAGES * PAGE_BYTES;
  let putBytes = 0;
  let deletions = drops;
  let runPages = 1;
  for (const [table, writes] of tables) {
    let keys = 0;
    for (const { key, value, isNext } of writes) {
      if (!isNext) keys += 1;
      if (value === null) deletions += 1;
      else {
        putBytes += key.length + value.length;
        const pages = ownPagesOf(value.length);
        runPages = Math.max(runPages, pages);
        bytes += 2 * (key.length + ENTRY_HEAD_BYTES) + (pages > 0 ? pages * PAGE_BYTES : 2 * value.length);
      }
    }
    bytes += PAGE_BYTES * (PATH_PAGES + leavesOf(table, keys));
  }
  return { bytes, runPages, isFreeing: !isGrowing && deletions > 0 && putBytes <= FREEING_PUT_BYTES_MAX };
}

/** Pages that a value does not share. */
function ownPagesOf(valueBytes: number): number {
  if (valueBytes <= SHARED_VALUE_BYTES_MAX) return 0;
  return Math.ceil((valueBytes + ENTRY_HEAD_BYTES) / PAGE_BYTES);
}

function leavesOf(table: SizedTable, keys: number): number {
  return keys <= KEYS_UNASKED_MAX ? keys : Math.min(keys, table.treePages());
}

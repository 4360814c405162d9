// Whether the disk has room for a commit. The engine's library damages its process's memory when a write meets a full
// disk, so no commit is begun that might; and something is held back, so that deleting is possible when adding is not.
import { statSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { TributaryError } from '../../stream/errors.ts';
import { PAGE_BYTES, SMALL_COMMIT } from './commit-size.ts';
import type { CommitSize } from './commit-size.ts';

const MIB = 1024 * 1024;
/** What a commit must leave free, for other programs and for the commits below. */
export const ADDING_HEADROOM_BYTES = 5 * MIB;
/** The same while the file itself has free pages. It may grow all the same: they may be too scattered for a long value. */
export const REUSING_HEADROOM_BYTES = 2 * MIB;
/** The same for a commit that makes room, and for one that certainly finds its place inside the file. */
export const FREEING_HEADROOM_BYTES = MIB / 2;
/** Opening needs a few rows: a full disk must not keep a program from starting again. */
export const OPENING_HEADROOM_BYTES = MIB / 4;

/** The list of free pages is written with a commit: 8 bytes for each page of 4 KiB that may be in it. */
const FREE_LIST_SHARE = 512;
const FREE_LIST_BYTES_MAX = 8 * MIB;
/** A commit puts several values into the runs there are. */
const RUN_FACTOR = 4;

/** `after-pause`: pages that were freed just now can be used by the second commit behind it. */
export type RoomAnswer = 'yes' | 'no' | 'after-pause';

/** Pages of the file. */
export interface FilePages {
  readonly used: number;
  readonly free: number;
}

export class DiskRoom {
  readonly #path: string;
  readonly #folder: string;
  #freePagesBefore = 0;

  constructor(path: string) {
    this.#path = path;
    this.#folder = dirname(path);
  }

  /**
   * Whatever the answer relies on, the disk has room for all of a commit that is let through. `pages` are asked for only
   * when it is nearly full.
   */
  ask(size: CommitSize, pages: () => FilePages): RoomAnswer {
    const spare = this.#freeBytes() - size.bytes - this.#freeListBytes();
    if (spare >= ADDING_HEADROOM_BYTES) return 'yes';
    if (spare < FREEING_HEADROOM_BYTES) return 'no';
    return size.isFreeing ? 'yes' : this.#askFile(size, spare, pages());
  }

  /** Throws STORAGE_FULL. For what is written outside of commits: opening, new tables. */
  require(headroomBytes: number): void {
    if (this.#freeBytes() < SMALL_COMMIT.bytes + headroomBytes) throw this.full();
  }

  full(cause?: unknown): TributaryError {
    const free = Math.floor(this.#freeBytes() / 1024);
    const text = `the disk of ${this.#folder} is full (${free} KiB are free): nothing was written; make room and try again`;
    return new TributaryError('STORAGE_FULL', text, cause === undefined ? {} : { cause });
  }

  #askFile(size: CommitSize, spare: number, now: FilePages): RoomAnswer {
    // What was free before the last commit as well can be used; what that one freed cannot, yet.
    const sure = Math.min(now.free, this.#freePagesBefore);
    this.#freePagesBefore = now.free;
    if (fits(size, spare, { ...now, free: sure })) return 'yes';
    return fits(size, spare, now) ? 'after-pause' : 'no';
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#folder);
    return bavail * bsize;
  }

  #freeListBytes(): number {
    const fileBytes = statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
    return Math.min(fileBytes / FREE_LIST_SHARE, FREE_LIST_BYTES_MAX);
  }
}

/**
 * The file must not grow bit by bit until nothing of it can be used again: the less the disk has left, the more of the
 * file must be free before long values go there.
 */
function fits({ bytes, runPages }: CommitSize, spare: number, { free, used }: FilePages): boolean {
  const needed = Math.ceil(bytes / PAGE_BYTES);
  if (free < needed) return false;
  // So many in a row there are for certain, however they are spread.
  if (free / (used + 1) >= RUN_FACTOR * runPages) return true;
  const growth = (spare - REUSING_HEADROOM_BYTES) / (ADDING_HEADROOM_BYTES - REUSING_HEADROOM_BYTES);
  if (growth < 0) return false;
  return runPages === 1 || free >= needed + (1 - growth) * (free + used);
}

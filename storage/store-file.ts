// What can be said of a store file without the engine's library: that one may be ended with a signal by a damaged file.
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { freeListDamage } from './free-list.ts';

/** LMDB's magic number and the version of its files, behind the header of each of the two root pages. */
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const VERSION_MASK = 0xffff;
/** Where a root page has what is read here. */
const AT = { magic: 24, version: 28, pageBytes: 48, freeRoot: 88, lastPage: 144, transaction: 152 } as const;
const ROOT_BYTES = AT.transaction + 8;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;
const ATTEMPTS_MAX = 20;

/**
 * `short`: pages are missing at its end. That is no proof: a sound file may lack pages that were given up before they were
 * written.
 */
export type FileState = 'absent' | 'empty' | 'no-store' | 'short' | 'whole';

/** What the list of free pages lacks, null when nothing is wrong. For a file that is a store. */
export function freeListDamageOf(path: string): string | null {
  const descriptor = openSync(path, 'r');
  try {
    for (let attempt = 1; ; attempt += 1) {
      const root = newestRoot(descriptor);
      if (root === null) return 'its root pages cannot be read';
      const damage = freeListDamage(descriptor, root);
      // A program that writes may have used the pages again since.
      const isStill = newestRoot(descriptor)?.transaction === root.transaction;
      if (damage === null || (isStill && attempt > 1)) return damage;
      if (attempt === ATTEMPTS_MAX) return null;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Null when there is no such file or its root pages cannot be read. */
export function newestTransactionOf(path: string): bigint | null {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
  const descriptor = openSync(path, 'r');
  try {
    return newestRoot(descriptor)?.transaction ?? null;
  } finally {
    closeSync(descriptor);
  }
}

export function lookAtFile(path: string): FileState {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return 'absent';
  const descriptor = openSync(path, 'r');
  try {
    return stateOf(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function stateOf(descriptor: number): FileState {
  if (fstatSync(descriptor).size === 0) return 'empty';
  const newest = newestRoot(descriptor);
  if (newest === null) return 'no-store';
  const neededBytes = (newest.lastPage + 1n) * BigInt(newest.pageBytes);
  // Asked last: a program that writes makes it longer.
  return BigInt(fstatSync(descriptor).size) < neededBytes ? 'short' : 'whole';
}

/** Null when one of the two is none. */
export function newestRoot(descriptor: number): RootPage | null {
  const first = readRoot(descriptor, 0);
  const second = first === null ? null : readRoot(descriptor, first.pageBytes);
  if (first === null || second === null || second.pageBytes !== first.pageBytes) return null;
  return first.transaction > second.transaction ? first : second;
}

export interface RootPage {
  readonly pageBytes: number;
  readonly lastPage: bigint;
  /** Of the list of free pages. */
  readonly freeRoot: bigint;
  readonly transaction: bigint;
}

function readRoot(descriptor: number, at: number): RootPage | null {
  const page = Buffer.alloc(ROOT_BYTES);
  if (readSync(descriptor, page, 0, ROOT_BYTES, at) < ROOT_BYTES) return null;
  if (page.readUInt32LE(AT.magic) !== MAGIC) return null;
  if ((page.readUInt32LE(AT.version) & VERSION_MASK) !== VERSION) return null;
  const pageBytes = page.readUInt32LE(AT.pageBytes);
  if (pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX) return null;
  return {
    pageBytes,
    lastPage: page.readBigUInt64LE(AT.lastPage),
    freeRoot: page.readBigUInt64LE(AT.freeRoot),
    transaction: page.readBigUInt64LE(AT.transaction),
  };
}

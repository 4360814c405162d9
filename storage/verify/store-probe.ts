// Looks at a store file before this process opens it: what is damaged must end in words, not in a signal. A process of
// its own reads what opening reads, and all of a small store.
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { freeListDamageOf, lookAtFile } from '../pages/store-file.ts';
import { damagedStore } from '../lmdb/storage-error.ts';
import { verifyInChild } from './verify-process.ts';
import type { DamageKind } from './verify-report.ts';

/** Every block of a store up to this size is checked; that takes a fraction of a second. */
const WHOLE_BYTES_MAX = 32 * 1024 * 1024;

/** A block that is damaged by itself is passed over by who reads it; of another format opening speaks itself. */
const TOLERATED: readonly DamageKind[] = ['block-damaged', 'format', 'more'];

/** As this process closed them: nothing has changed them since. */
const closedSound = new Map<string, string>();

/** Throws STORAGE_FAILED when what is there must not be opened. */
export async function probeStore(path: string): Promise<void> {
  const state = lookAtFile(path);
  if (state === 'absent') return;
  if (state === 'empty') {
    throw damagedStore(path, 'it is empty, what it held is lost (if it never held anything, remove it)');
  }
  if (state === 'no-store') throw damagedStore(path, 'it does not start as a store does');
  if (state === 'whole' && closedSound.get(path) === stampOf(path)) return;
  const freeList = freeListDamageOf(path);
  if (freeList !== null) throw damagedStore(path, freeList);
  const isSuspect = existsSync(suspectOf(path));
  const isWhole = isSuspect || state === 'short' || statSync(path).size <= WHOLE_BYTES_MAX;
  const { report, isCertain } = await verifyInChild(path, isWhole ? 'whole' : 'ends');
  const [damage, ...more] = report.damage.filter(({ kind }) => !TOLERATED.includes(kind));
  if (damage === undefined || !isCertain) {
    if (isCertain) rmSync(suspectOf(path), { force: true });
    return;
  }
  const rest = more.length === 0 ? '' : ` (and ${more.length} more)`;
  throw damagedStore(
    path,
    `${damage.shard === null ? '' : `shard ${damage.shard}: `}${damage.detail}${rest}`,
  );
}

/** Its disk failed, or it could not be read: the next start looks at all of it. */
export function rememberFailure(path: string): void {
  closedSound.delete(path);
  try {
    writeFileSync(suspectOf(path), '');
  } catch {
    // A disk that failed may not take it; then the next start looks at less.
  }
}

export function forgetFailure(path: string): void {
  rmSync(suspectOf(path), { force: true });
}

function suspectOf(path: string): string {
  return `${path}.suspect`;
}

/** This process has closed it, in order. */
export function rememberClosed(path: string): void {
  if (existsSync(path)) closedSound.set(path, stampOf(path));
}

function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

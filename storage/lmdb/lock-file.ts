// The file beside a store in which the library's processes meet. It says which transaction was the last one: a store file
// that is behind it was replaced by an older copy, though it may have kept its place on the disk.
import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { newestTransactionOf } from '../pages/store-file.ts';

/** Stores that this process has open, and how often. */
const openHere = new Map<string, number>();

const MAGIC = 0xbeefc0de;
const AT = { magic: 0, transaction: 8, end: 16 } as const;

/** Between the two the file beside the store is not looked into: closing it would take this process's locks away. */
export function rememberOpen(path: string): void {
  openHere.set(resolve(path), openingsOf(path) + 1);
}

export function forgetOpen(path: string): void {
  openHere.set(resolve(path), openingsOf(path) - 1);
}

function openingsOf(path: string): number {
  return openHere.get(resolve(path)) ?? 0;
}

/** False when nobody can tell. */
export function wentBack(path: string): boolean {
  if (openingsOf(path) > 0) return false;
  const noted = notedTransaction(`${path}-lock`);
  if (noted === null) return false;
  const newest = newestTransactionOf(path);
  return newest !== null && newest < noted;
}

function notedTransaction(path: string): bigint | null {
  const head = Buffer.alloc(AT.end);
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch {
    return null;
  }
  try {
    if (readSync(descriptor, head, 0, AT.end, 0) < AT.end) return null;
    return head.readUInt32LE(AT.magic) === MAGIC ? head.readBigUInt64LE(AT.transaction) : null;
  } finally {
    closeSync(descriptor);
  }
}

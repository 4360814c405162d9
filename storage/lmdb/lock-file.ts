// The file beside a store in which the library's processes meet. It says which transaction was the last one: a store file
// that is behind it was replaced by an older copy, though it may have kept its place on the disk.
import { closeSync, openSync, readSync } from 'node:fs';
import { newestTransactionOf } from '../pages/store-file.ts';

const MAGIC = 0xbeefc0de;
const AT = { magic: 0, transaction: 8, end: 16 } as const;

/** False when nobody can tell. */
export function wentBack(path: string): boolean {
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

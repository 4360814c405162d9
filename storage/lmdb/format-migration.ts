// Keeps a copy of a store file as an earlier program wrote it, before anything in it is changed.
import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  statfsSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { TributaryError } from '../../stream/errors.ts';

const MIB = 1024 * 1024;
/** What must be left beside the copy. */
const SPARE_BYTES = 16 * MIB;
const NAMES_MAX = 100;

/**
 * `PATH.v<version>-backup`, whole and on the disk when it is answered. Nobody else writes the store meanwhile. Throws
 * STORAGE_FULL when there is no room for it.
 */
export function backUpStore(path: string, version: number): string {
  for (let attempt = 1; attempt <= NAMES_MAX; attempt += 1) {
    const backup = `${path}.v${version}-backup${attempt === 1 ? '' : `-${attempt}`}`;
    // One that a program made which was ended before it went on.
    if (statSync(backup, { throwIfNoEntry: false }) === undefined) return copy(path, backup);
    if (isSame(path, backup)) return backup;
  }
  throw new TributaryError(
    'CONFIG_INVALID',
    `there are ${NAMES_MAX} backups ${basename(path)}.v${version}-backup in ${dirname(path)}; move some away`,
  );
}

function copy(path: string, backup: string): string {
  const { size } = statSync(path);
  const { bavail, bsize } = statfsSync(dirname(path));
  if (bavail * bsize < size + SPARE_BYTES) {
    const needed = Math.ceil((size + SPARE_BYTES) / MIB);
    throw new TributaryError(
      'STORAGE_FULL',
      `the disk of ${dirname(path)} has no room for a copy of ${basename(path)}, which is kept before its format is changed: nothing was changed, make ${needed} MiB free`,
    );
  }
  const partial = `${backup}.partial`;
  rmSync(partial, { force: true });
  copyFileSync(path, partial, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  syncFile(partial);
  renameSync(partial, backup);
  syncFile(dirname(backup));
  return backup;
}

function isSame(path: string, backup: string): boolean {
  if (statSync(path).size !== statSync(backup).size) return false;
  const [ours, theirs] = [openSync(path, 'r'), openSync(backup, 'r')];
  try {
    const [left, right] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
    for (let at = 0; ; at += MIB) {
      const read = readSync(ours, left, 0, MIB, at);
      if (readSync(theirs, right, 0, MIB, at) !== read) return false;
      if (read === 0) return true;
      if (!left.subarray(0, read).equals(right.subarray(0, read))) return false;
    }
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/** A file or a folder. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

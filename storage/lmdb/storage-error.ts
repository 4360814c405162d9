// What the embedded engine's errors mean for whoever writes: no room (go on when there is some) or a failed disk (stop).
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { TributaryError, isTributaryError } from '../../stream/errors.ts';

/** ENOSPC, EFBIG, EDQUOT, and the engine's own "the map is full". */
const NO_ROOM_CODES: readonly unknown[] = [28, 27, 122, -30792, 'ENOSPC', 'EFBIG', 'EDQUOT'];
const EIO_CODES: readonly unknown[] = [5, 'EIO'];
/** The file itself, a right, memory, descriptors or room: EPERM, ENOENT, EAGAIN, ENOMEM, EACCES, ENFILE, EMFILE, ENOSPC, EROFS. */
const LACKS: readonly unknown[] = [1, 2, 11, 12, 13, 23, 24, 28, 30];
const SYSTEM_NAME = /^E(?!RR_)[A-Z0-9]+$/;
/** A disk with less than this beside what was to be written counts as full. */
const ROOM_BYTES_MIN = 1024 * 1024;

/** `folder` holds the store, `bytes` were to be written. */
export function storageError(cause: unknown, folder: string, bytes: number): TributaryError {
  if (isTributaryError(cause)) return cause;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  // The engine reports a write that a full disk cut short as EIO: only the disk can say which it was.
  const isFull = NO_ROOM_CODES.includes(code) || (EIO_CODES.includes(code) && !hasRoom(folder, bytes));
  if (isFull) {
    return new TributaryError(
      'STORAGE_FULL',
      `the disk of ${folder} is full: nothing was written; make room and try again`,
      { cause },
    );
  }
  return new TributaryError(
    'STORAGE_FAILED',
    `the disk of ${folder} failed: nothing more is acknowledged; restart to recover`,
    { cause },
  );
}

/** What the system around a file did not give says nothing of the file; all else that breaks while it is opened does. */
export function openingError(path: string, error: unknown): TributaryError {
  if (isTributaryError(error)) return error;
  const what = error instanceof Error ? error.message : String(error);
  const code = systemCodeOf(error);
  if (code === null) return damagedStore(path, what, error);
  if (NO_ROOM_CODES.includes(code)) return storageError(error, dirname(path), 0);
  return new TributaryError(
    'STORAGE_FAILED',
    `${path} could not be opened: ${what} (${code}); nothing was changed, and this says nothing of what it holds: mend the cause and start again`,
    { cause: error },
  );
}

/** What the file holds cannot be read, or does not add up. */
export function damagedStore(path: string, what: string, cause?: unknown): TributaryError {
  return new TributaryError(
    'STORAGE_FAILED',
    `${path} is damaged: ${what}; nothing was changed, run \`tributary log verify ${dirname(path)}\``,
    { details: { damaged: path, what }, ...(cause === undefined ? {} : { cause }) },
  );
}

/** Of an error of the operating system: its number or its name. Null: it is of something else. */
export function systemCodeOf(error: unknown): number | string | null {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  // The library's own codes are negative, and Node's begin with ERR_.
  if (typeof code === 'number') return code > 0 ? code : null;
  return typeof code === 'string' && SYSTEM_NAME.test(code) ? code : null;
}

/** Whether the system lacked something, so that nothing is known of the file. */
export function isLack(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code !== null && LACKS.includes(code);
}

/** Whether it is what the file holds that keeps it from being opened, not the system around it. */
export function isDamage(error: unknown): error is TributaryError {
  if (!isTributaryError(error, 'STORAGE_FAILED') || error.details['damaged'] === undefined) return false;
  return systemCodeOf(error.cause) === null;
}

/** The engine hides the disk's error in a promise that rejects; left alone it would end the process. */
export async function rootCause(error: unknown): Promise<unknown> {
  const hidden =
    typeof error === 'object' && error !== null && 'commitError' in error ? error.commitError : undefined;
  if (!(hidden instanceof Promise)) return error;
  try {
    await hidden;
    return error;
  } catch (cause) {
    return cause;
  }
}

function hasRoom(folder: string, bytes: number): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize > bytes + ROOM_BYTES_MIN;
}

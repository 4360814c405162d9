// A store file that was replaced by an older copy is known by the file beside it in which the library's processes meet,
// and only until the next of them opens it. So whoever is about to open it notes first what it sees, in an empty file that
// stays until the store has gone on in a new epoch.
import { existsSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeMarker } from '../../runtime/whole-file.ts';
import { TributaryError } from '../../stream/errors.ts';
import { wentBack } from './lock-file.ts';
import { systemCodeOf } from './storage-error.ts';

/**
 * To be called before the library opens the file, by whoever does. True: it is older than it was, now or at an opening
 * after which nobody has gone on. On the disk when it returns.
 */
export function noteWentBack(path: string): boolean {
  const marker = markerOf(path);
  if (existsSync(marker)) return true;
  if (!wentBack(path)) return false;
  try {
    makeMarker(marker);
  } catch (cause) {
    // Where nothing can be written the library cannot, either.
    const code = systemCodeOf(cause);
    if (code === 'EROFS') return true;
    const text = `${path} is older than it was, and ${marker} cannot be made to say so (${code ?? String(cause)})`;
    throw new TributaryError(
      'STORAGE_FAILED',
      `${text}: nothing was opened; make room, or run this as who may write to ${dirname(path)}`,
      { cause },
    );
  }
  return true;
}

export function forgetWentBack(path: string): void {
  rmSync(markerOf(path), { force: true });
}

function markerOf(path: string): string {
  return `${path}.went-back`;
}

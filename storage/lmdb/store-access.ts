// Whether this user may open a store at all. Asked before the library is: where it may not write the file in which its
// processes meet, it ends its process with a signal, or reads without being seen and takes what it finds for damage.
import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { TributaryError } from '../../stream/errors.ts';
import { systemCodeOf } from './storage-error.ts';

const { F_OK, R_OK, W_OK, X_OK } = constants;
/** Of the system: the user has no right to, or nobody has. */
const REFUSALS: readonly unknown[] = ['EACCES', 'EPERM', 'EROFS'];

export type StoreUse = 'read' | 'write';
/** As Node's accessSync. */
type Access = (path: string, mode: number) => void;

/** Throws CONFIG_INVALID when the user has not the rights for that use. A store that is not there may be made. */
export function checkAccess(path: string, use: StoreUse, access: Access = accessSync): void {
  const isThere = check(path, use === 'write' ? R_OK | W_OK : R_OK, use, access);
  const hasLock = check(`${path}-lock`, R_OK | W_OK, use, access);
  if (use === 'write' && !(isThere && hasLock)) check(dirname(path), R_OK | W_OK | X_OK, use, access);
}

/** False: it is not there. */
function check(path: string, mode: number, use: StoreUse, access: Access): boolean {
  try {
    access(path, F_OK);
    access(path, mode);
    return true;
  } catch (cause) {
    const code = systemCodeOf(cause);
    if (code === 'ENOENT') return false;
    // Nobody writes there, so that nobody need be met.
    if (code === 'EROFS' && use === 'read') return true;
    if (!REFUSALS.includes(code)) throw cause;
    throw new TributaryError('CONFIG_INVALID', refusal(path, mode, String(code)), { cause });
  }
}

function refusal(path: string, mode: number, code: string): string {
  const user = process.getuid?.() ?? 'of the program';
  const right = (mode & W_OK) === 0 ? 'read' : 'read and write';
  const what = `the user ${user} may not ${right} ${path} (${code}); nothing was changed`;
  if (code === 'EROFS') return `${what}: mount its file system for writing`;
  return `${what}: give it to that user (chown ${user} ${path}, chmod u+rw ${path}), or start as the user it belongs to`;
}

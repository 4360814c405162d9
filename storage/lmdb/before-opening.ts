// What must be asked of a store file before the library opens it, by whoever does, because the library would end the
// process, or wipe out what tells.
import { checkAccess } from './store-access.ts';
import type { StoreUse } from './store-access.ts';
import { noteWentBack } from './went-back.ts';

/**
 * True: the file is older than it was. Throws CONFIG_INVALID when this user may not open it, STORAGE_FAILED when it is older
 * and that cannot be noted.
 */
export function beforeOpening(path: string, use: StoreUse): boolean {
  checkAccess(path, use);
  return noteWentBack(path);
}

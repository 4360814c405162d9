// The birth of a store file. An empty or torn file under the store's name means that what it held is lost, so a power cut
// while it is made must leave a whole one or none.
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { giveName, nameToMake, removeUnfinished, syncPath } from '../../runtime/whole-file.ts';
import { DiskRoom, OPENING_HEADROOM_BYTES } from './disk-room.ts';
import { makeEmptyFile } from './lmdb-engine.ts';

/** Makes the file when it is missing. What is there stays as it is. */
export async function makeStoreFile(path: string): Promise<void> {
  removeUnfinished(path);
  if (existsSync(path)) {
    // Who made it may have been killed before this, and now records are about to rely on the name.
    syncPath(dirname(path));
    return;
  }
  new DiskRoom(path).require(OPENING_HEADROOM_BYTES);
  const made = nameToMake(path);
  await makeEmptyFile(made);
  giveName(made, path);
  removeUnfinished(path);
}

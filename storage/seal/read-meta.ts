// Rows of a store's map, read without opening the store: while a program has it open, or when nobody may write to it.
import { open } from 'lmdb';
import type { Database } from 'lmdb';
import type { MetaEntry } from '../../stream/ports.ts';
import { TABLES_MAX } from '../lmdb/lmdb-engine.ts';
import { beforeOpening } from '../lmdb/before-opening.ts';
import { decodeEntry, storedPrefix } from '../meta-entry.ts';
import { probeStore } from '../verify/store-probe.ts';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

/** Throws STORAGE_FAILED when the store is damaged, CONFIG_INVALID when this user has no right to it. */
export async function readMeta(path: string, prefix: string): Promise<MetaEntry[]> {
  beforeOpening(path, 'read');
  await probeStore(path);
  const root = open<Buffer, Buffer>({ path, noSubdir: true, readOnly: true, maxDbs: TABLES_MAX, ...BINARY });
  try {
    // Undefined where it is not there, which the library's types do not say.
    const table: Database<Buffer, Buffer> | undefined = root.openDB<Buffer, Buffer>({
      name: 'meta',
      ...BINARY,
    });
    const start = storedPrefix(prefix);
    const entries: MetaEntry[] = [];
    for (const { key, value } of table?.getRange({ start }) ?? []) {
      if (!key.subarray(0, start.length).equals(start)) break;
      entries.push(decodeEntry(Uint8Array.from(value)));
    }
    return entries;
  } finally {
    await root.close();
  }
}

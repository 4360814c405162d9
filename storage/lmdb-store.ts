// The embedded engine: one LMDB file holds the log and the map, one process owns it.
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import type { Clock, Store } from '../stream/ports.ts';
import { Committer } from './committer.ts';
import { LmdbMeta } from './lmdb-meta.ts';
import type { MetaTable } from './lmdb-meta.ts';
import { LmdbShardLog } from './lmdb-shard-log.ts';

export interface LmdbOptions {
  /** The file; its name ends in `.mdb`. */
  readonly path: string;
  readonly clock: Clock;
}

/** LMDB pages of 4 KiB whatever the kernel's page size is: larger ones wear a card 2.4 times as much. */
const PAGE_BYTES = 4096;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

export function openLmdbStore(options: LmdbOptions): Promise<Store> {
  const root = open({
    path: options.path,
    noSubdir: true,
    pageSize: PAGE_BYTES,
    // With it on, the engine's documents leave open when a resolved write is on the disk.
    overlappingSync: false,
    maxDbs: 16,
    maxReaders: 126,
    ...BINARY,
  });
  syncFolder(dirname(options.path));
  const committer = new Committer();
  const blocks = table(root, 'log');
  const meta = new LmdbMeta(committer, table(root, 'meta'), table(root, 'system'));
  const tables = { shards: table(root, 'shards'), lanes: table(root, 'lanes'), blocksOf: () => blocks };
  const log = new LmdbShardLog(committer, tables, meta, options.clock);
  log.load();
  return Promise.resolve({
    log,
    meta,
    close: async () => {
      await committer.close();
      await root.close();
    },
  });
}

function table(root: RootDatabase, name: string): MetaTable {
  const database: Database<Buffer, Uint8Array> = root.openDB({ name, ...BINARY });
  return {
    get: (key) => database.get(key),
    put: (key, value) => database.put(key, Buffer.from(value.buffer, value.byteOffset, value.byteLength)),
    remove: (key) => database.remove(key),
    range: (start, limit) => [...database.getRange({ start, limit, snapshot: false })],
  };
}

/** The engine does not: without it a power cut may take the file's name. */
function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

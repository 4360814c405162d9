// The embedded engine: one LMDB file holds the log and the map, one process owns it.
import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { open } from 'lmdb';
import type { Database } from 'lmdb';
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
  const names = ['log', 'meta', 'system', 'shards', 'lanes'] as const;
  const databases = names.map((name) => root.openDB<Buffer, Uint8Array>({ name, ...BINARY }));
  const [blocks, metaTable, system, shards, lanes] = databases.map(table) as [
    MetaTable,
    MetaTable,
    MetaTable,
    MetaTable,
    MetaTable,
  ];
  const meta = new LmdbMeta(committer, metaTable, system);
  const tables = { shards, lanes, blocksOf: () => blocks };
  const log = new LmdbShardLog(committer, tables, meta, options.clock);
  log.load();
  return Promise.resolve({
    log,
    meta,
    usage: () => ({ fileBytes: statSync(options.path).size, liveBytes: liveBytes(databases) }),
    close: async () => {
      await committer.close();
      await root.close();
    },
  });
}

/** Pages in use; what was deleted is free for the next commits and does not count. */
function liveBytes(databases: readonly Database<Buffer, Uint8Array>[]): number {
  return databases.reduce((sum, database) => {
    const stats = database.getStats() as PageCounts;
    return sum + PAGE_BYTES * (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages);
  }, 0);
}

interface PageCounts {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

function table(database: Database<Buffer, Uint8Array>): MetaTable {
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

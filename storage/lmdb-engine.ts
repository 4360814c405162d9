// The LMDB file under a store: its tables, its transactions, its pages. The only file that knows the library's traps.
import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import * as lmdb from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { TributaryError, isTributaryError } from '../stream/errors.ts';
import type { Table } from './batch.ts';
import type { Engine } from './committer.ts';
import { rootCause, storageError } from './storage-error.ts';

/** LMDB pages of 4 KiB whatever the kernel's page size is: larger ones wear a card 2.4 times as much. */
const PAGE_BYTES = 4096;
/** One for each shard of the layout `perShard`, and the store's own. */
export const TABLES_MAX = 1_024;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
/** The library exports it without a type: a condition that holds when the key is there. */
const { IF_EXISTS } = lmdb as unknown as { readonly IF_EXISTS: number };

type Db = Database<Buffer, Buffer>;

export class LmdbEngine implements Engine {
  readonly #path: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #open = new Map<string, { readonly database: Db; readonly table: Table }>();
  #ownerKey: Buffer | null = null;
  #owners: Db | null = null;
  /** By the transaction under way. */
  #hasDropped = false;
  #isWedged = false;
  #isClosed = false;

  constructor(path: string) {
    this.#path = path;
    this.#root = lmdb.open<Buffer, Buffer>({
      path,
      noSubdir: true,
      pageSize: PAGE_BYTES,
      // With it on, the library's documents leave open when a resolved write is on the disk.
      overlappingSync: false,
      // Batching by event turn keeps a promise of its own that nobody can catch when the commit fails.
      eventTurnBatching: false,
      maxDbs: TABLES_MAX,
      maxReaders: 126,
      ...BINARY,
    });
    syncFolder(dirname(path));
  }

  /**
   * Opens or makes a table (once), in a synchronous transaction: never while a commit is under way, half of which it would
   * commit. `isAppended`: keys are only ever put in ascending order.
   */
  table(name: string, isAppended = false): Table {
    const open = this.#open.get(name);
    if (open !== undefined) return open.table;
    const database = this.#root.openDB<Buffer, Buffer>({ name, ...BINARY });
    const table = tableOn(database, isAppended, () => {
      this.#open.delete(name);
      this.#hasDropped = true;
    });
    this.#open.set(name, { database, table });
    return table;
  }

  /** From now on a transaction is carried out only while `key` is in the table of that name. */
  fence(tableName: string, key: Buffer): void {
    this.#owners = this.#open.get(tableName)?.database ?? null;
    this.#ownerKey = key;
  }

  /** Reads and writes as the only one of all processes. Synchronous, durable; what throws changes nothing. */
  alone<T>(work: () => T): T {
    return this.#root.transactionSync(work);
  }

  async transact(write: () => readonly Promise<boolean>[], bytes: number): Promise<void> {
    try {
      await this.#transactOnce(write, bytes);
    } catch (error) {
      if (!isTributaryError(error, 'STORAGE_FULL') || !(await this.#freeDeletedPages())) throw error;
      await this.#transactOnce(write, bytes);
    }
  }

  async #transactOnce(write: () => readonly Promise<boolean>[], bytes: number): Promise<void> {
    this.#hasDropped = false;
    let taken: readonly Promise<boolean>[] = [];
    const isOwner = this.#inOneTransaction(() => {
      taken = write();
    });
    this.#isWedged = true;
    // Each is looked at: the failure of a commit rejects all of them, and one left alone would end the process.
    const results = await Promise.allSettled([isOwner, ...taken]);
    this.#isWedged = false;
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) {
      throw storageError(await rootCause(failed.reason), dirname(this.#path), bytes);
    }
    if (results[0]?.status === 'fulfilled' && !results[0].value) {
      const text = `${this.#path} was opened again, by another process or this one: nothing more is acknowledged here`;
      throw new TributaryError('STORAGE_FAILED', text);
    }
    if (results.some((result) => result.status === 'fulfilled' && !result.value)) {
      throw new TributaryError('STORAGE_FAILED', `${this.#path} did not take a block behind its last one`);
    }
  }

  fileBytes(): number {
    return statSync(this.#path).size;
  }

  /** Pages in use; what was deleted is free for the next commits and does not count. */
  liveBytes(): number {
    const databases = [...this.#open.values()].map(({ database }) => database.getStats() as TreeStats);
    const { root, free } = this.#root.getStats() as RootStats;
    return [...databases, root, free].reduce((sum, stats) => sum + PAGE_BYTES * pagesOf(stats), 0);
  }

  /** A commit that never ended would keep it waiting for ever: then the process has to end instead. */
  async close(): Promise<void> {
    if (this.#isWedged || this.#isClosed) return;
    this.#isClosed = true;
    this.#disown();
    await this.#root.close();
  }

  /** Others may open the file while this process lives on. On a full disk the row stays until the process ends. */
  #disown(): void {
    const key = this.#ownerKey;
    if (key === null) return;
    try {
      this.alone(() => void this.#owners?.remove(key));
    } catch {
      // Nothing depends on it: whoever opens the store looks whether the owner is alive.
    }
  }

  /**
   * Pages that a commit freed may be used by the second commit behind it only. On a full disk that one would never come:
   * the next one needs room. So a commit that needs none is put between. Says whether it is worth trying again; it is not
   * when the failed commit dropped a table, whose handle is gone.
   */
  async #freeDeletedPages(): Promise<boolean> {
    const [owners, key] = [this.#owners, this.#ownerKey];
    const value = key === null ? undefined : owners?.get(key);
    if (owners === null || key === null || value === undefined || this.#hasDropped) return false;
    try {
      await this.#transactOnce(() => [owners.put(key, value)], value.length);
      return true;
    } catch (error) {
      if (isTributaryError(error, 'STORAGE_FULL')) return false;
      throw error;
    }
  }

  #inOneTransaction(write: () => void): Promise<boolean> {
    if (this.#owners === null || this.#ownerKey === null) return this.#root.batch(write);
    return this.#owners.ifVersion(this.#ownerKey, IF_EXISTS, write);
  }
}

interface TreeStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface RootStats {
  readonly root: TreeStats;
  readonly free: TreeStats;
}

function pagesOf(stats: TreeStats): number {
  return stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
}

/** The library's types leave out the options of an asynchronous put. */
type Put = (key: Buffer, value: Buffer, options: { readonly append: boolean }) => Promise<boolean>;

/** With binary encoding the library copies out of its map at every read, so that what is returned stays as it is. */
function tableOn(database: Db, isAppended: boolean, onDropped: () => void): Table {
  const put = database.put.bind(database) as Put;
  const options = { append: isAppended };
  return {
    get: (key) => database.get(bufferOf(key)),
    put: (key, value) => put(bufferOf(key), bufferOf(value), options),
    remove: (key) => database.remove(bufferOf(key)),
    range: (start, limit) => [...database.getRange({ start: bufferOf(start), limit, snapshot: false })],
    keys: (start, limit) => [...database.getKeys({ start: bufferOf(start), limit, snapshot: false })],
    drop: () => {
      onDropped();
      return database.drop() as unknown as Promise<boolean>;
    },
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The library does not: without it a power cut may take the file's name. */
function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

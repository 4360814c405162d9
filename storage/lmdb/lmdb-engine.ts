// The LMDB file under a store: its tables, its transactions, its pages. The only file that knows the library's traps.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import * as lmdb from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { TributaryError, isTributaryError } from '../../stream/errors.ts';
import type { Table } from './batch.ts';
import { CapRoom } from './cap-room.ts';
import type { Reader } from './cap-room.ts';
import { PAGE_BYTES, SMALL_COMMIT } from './commit-size.ts';
import type { CommitSize } from './commit-size.ts';
import type { Engine } from './committer.ts';
import { DiskRoom, FREEING_HEADROOM_BYTES, OPENING_HEADROOM_BYTES } from './disk-room.ts';
import type { FilePages } from './disk-room.ts';
import { forgetOpen, rememberOpen } from './lock-file.ts';
import { damagedStore, rootCause, storageError } from './storage-error.ts';

/** One for each shard of the layout `perShard`, and the store's own. */
export const TABLES_MAX = 1_024;
/** MDB_DBS_FULL. */
const DBS_FULL = -30_791;
/** Behind them the pages of tables begin. */
const META_PAGES = 2;
/** What a file system writes beside a commit's pages: 7.4 KB were measured on ext4, growing and overwriting alike. */
const FILE_SYSTEM_BYTES_PER_COMMIT = 8 * 1024;
const FIRST_KEY = Buffer.of(0);
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
/** The library counts the pages it writes; its types do not say so. */
const METRICS: object = { trackMetrics: true };
/** The library exports it without a type: a condition that holds when the key is there. */
const { IF_EXISTS } = lmdb as unknown as { readonly IF_EXISTS: number };

type Db = Database<Buffer, Buffer>;

export class LmdbEngine implements Engine {
  readonly #path: string;
  readonly #room: DiskRoom;
  readonly #cap: CapRoom | null;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #open = new Map<string, { readonly database: Db; readonly table: Table }>();
  #ownerKey: Buffer | null = null;
  #owners: Db | null = null;
  #isWedged = false;
  #isClosed = false;
  #written = 0;
  readonly #firstTransaction: number;

  /** `capBytes`: size that the file may have. */
  constructor(path: string, capBytes = Infinity) {
    this.#path = path;
    this.#room = new DiskRoom(path);
    this.#room.require(OPENING_HEADROOM_BYTES);
    this.#root = openFile(path);
    rememberOpen(path);
    this.#firstTransaction = (this.#root.getStats() as RootStats).lastTxnId;
    this.#cap = capBytes === Infinity ? null : new CapRoom(path, capBytes, () => this.#readers());
  }

  /**
   * Opens or makes a table (once), in a synchronous transaction: never while a commit is under way, half of which it would
   * commit. `isAppended`: keys are only ever put in ascending order. Throws BUSY when there are too many.
   */
  table(name: string, isAppended = false): Table {
    const open = this.#open.get(name);
    if (open !== undefined) return open.table;
    if (!this.hasTable(name)) this.#room.require(FREEING_HEADROOM_BYTES);
    const database = this.#openTable(name);
    const table = tableOn(database, this.#path, isAppended, () => this.#open.delete(name));
    this.#open.set(name, { database, table });
    return table;
  }

  hasTable(name: string): boolean {
    return this.#root.doesExist(nameKey(name));
  }

  /** Rows of an open table as the file's own books have it, whether they can be reached or not. */
  entryCount(name: string): number {
    const stats = this.#open.get(name)?.database.getStats() as TreeStats | undefined;
    return stats?.entryCount ?? 0;
  }

  /** Tables that are listed, and tables the file's own books know of. */
  tableCounts(): { readonly listed: number; readonly booked: number } {
    const listed = this.#root.getKeysCount({ start: FIRST_KEY });
    return { listed, booked: (this.#root.getStats() as TreeStats).entryCount };
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

  async transact(write: () => readonly Promise<boolean>[], size: CommitSize): Promise<void> {
    if (!(await this.#hasRoom(size))) throw this.#room.full();
    await this.#requireCap(size);
    try {
      await this.#transactOnce(write, size.bytes);
    } catch (error) {
      if (!isTributaryError(error, 'STORAGE_FULL')) throw error;
      // The library may have damaged this process's memory: see disk-room.ts, which prevents it where the disk tells its size.
      const text = `the disk of ${dirname(this.#path)} became full in the middle of a write: what was acknowledged is safe, nothing more is acknowledged; make room and restart`;
      throw new TributaryError('STORAGE_FAILED', text, { cause: error });
    }
  }

  async #hasRoom(size: CommitSize): Promise<boolean> {
    const pages = (): FilePages => this.#pages();
    const answer = this.#room.ask(size, pages);
    if (answer !== 'after-pause') return answer === 'yes';
    return (await this.#pause()) && this.#room.ask(size, pages) === 'yes';
  }

  /** Throws STORAGE_FULL with the limit in its details. */
  async #requireCap(size: CommitSize): Promise<void> {
    if (this.#cap === null) return;
    let answer = this.#cap.ask(size);
    if (answer === 'after-pause' && (await this.#pause())) answer = this.#cap.ask(size);
    if (answer !== 'yes') throw this.#cap.full(answer);
  }

  /** Of all processes that live. The library lists them as text: process, thread, transaction. */
  #readers(): readonly Reader[] {
    this.#root.readerCheck();
    const lines = this.#root.readerList().matchAll(/^\s*(\d+)\s+\w+\s+(\d+)\s*$/gm);
    return [...lines].map(([, pid, transaction]) => ({
      pid: Number(pid),
      transaction: BigInt(transaction ?? 0),
    }));
  }

  async #transactOnce(write: () => readonly Promise<boolean>[], bytes: number): Promise<void> {
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

  #countWritten(): number {
    try {
      const { pagesWritten, lastTxnId } = this.#root.getStats() as RootStats;
      const commits = lastTxnId - this.#firstTransaction;
      return PAGE_BYTES * pagesWritten + (PAGE_BYTES + FILE_SYSTEM_BYTES_PER_COMMIT) * commits;
    } catch {
      // Behind a failed write the library counts nothing any more.
      return this.#written;
    }
  }

  /** Since it was opened. A commit writes its pages, a root page, and what the file system adds. */
  writtenBytes(): number {
    if (!this.#isClosed) this.#written = this.#countWritten();
    return this.#written;
  }

  #pages(): FilePages {
    const { lastPageNumber } = this.#root.getStats() as RootStats;
    const used = META_PAGES + this.liveBytes() / PAGE_BYTES;
    return { used, free: lastPageNumber + 1 - used };
  }

  /** A commit that never ended would keep it waiting for ever: then the process has to end instead. */
  async close(): Promise<void> {
    if (this.#isWedged || this.#isClosed) return;
    this.writtenBytes();
    this.#isClosed = true;
    this.#cap?.close();
    this.#disown();
    await this.#root.close();
    forgetOpen(this.#path);
  }

  /** Others may open the file while this process lives on. On a full disk the row stays until the process ends. */
  #disown(): void {
    const key = this.#ownerKey;
    if (key === null) return;
    try {
      this.#room.require(OPENING_HEADROOM_BYTES);
      this.alone(() => void this.#owners?.remove(key));
    } catch {
      // Nothing depends on it: whoever opens the store looks whether the owner is alive.
    }
  }

  /**
   * Pages that a commit freed may be used by the second commit behind it only. On a full disk that one would never come:
   * the next one needs room. So a commit that needs next to none is put between. False: it could not be.
   */
  async #pause(): Promise<boolean> {
    const [owners, key] = [this.#owners, this.#ownerKey];
    const value = key === null ? undefined : owners?.get(key);
    if (owners === null || key === null || value === undefined) return false;
    if (this.#room.ask(SMALL_COMMIT, () => this.#pages()) !== 'yes') return false;
    await this.#transactOnce(() => [owners.put(key, value)], value.length);
    return true;
  }

  #openTable(name: string): Db {
    try {
      return this.#root.openDB<Buffer, Buffer>({ name, ...BINARY });
    } catch (cause) {
      if (!isTableLimit(cause)) throw damagedStore(this.#path, textOf(cause), cause);
      const text = `${this.#path} has as many tables as it can have open, ${TABLES_MAX}: no shard more; remove streams or use fewer`;
      throw new TributaryError('BUSY', text, { cause });
    }
  }

  #inOneTransaction(write: () => void): Promise<boolean> {
    if (this.#owners === null || this.#ownerKey === null) return this.#root.batch(write);
    return this.#owners.ifVersion(this.#ownerKey, IF_EXISTS, write);
  }
}

/** A file without tables, closed again. The library leaves it to others to sync it and its name. */
export async function makeEmptyFile(path: string): Promise<void> {
  await openFile(path).close();
}

function openFile(path: string): RootDatabase<Buffer, Buffer> {
  return lmdb.open<Buffer, Buffer>({
    path,
    noSubdir: true,
    pageSize: PAGE_BYTES,
    // With it on, the library's documents leave open when a resolved write is on the disk.
    overlappingSync: false,
    // Batching by event turn keeps a promise of its own that nobody can catch when the commit fails.
    eventTurnBatching: false,
    maxDbs: TABLES_MAX,
    maxReaders: 126,
    ...METRICS,
    ...BINARY,
  });
}

interface TreeStats {
  readonly entryCount: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface RootStats {
  readonly lastPageNumber: number;
  /** Of the library's metrics: since the file was opened. */
  readonly pagesWritten: number;
  readonly lastTxnId: number;
  readonly root: TreeStats;
  readonly free: TreeStats;
}

function pagesOf(stats: TreeStats): number {
  return stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
}

/** The library's types leave out the options of an asynchronous put. */
type Put = (key: Buffer, value: Buffer, options: { readonly append: boolean }) => Promise<boolean>;

/** With binary encoding the library copies out of its map at every read, so that what is returned stays as it is. */
function tableOn(database: Db, path: string, isAppended: boolean, onDropped: () => void): Table {
  const put = database.put.bind(database) as Put;
  const options = { append: isAppended };
  return {
    get: (key) => reading(path, () => database.get(bufferOf(key))),
    put: (key, value) => put(bufferOf(key), bufferOf(value), options),
    remove: (key) => database.remove(bufferOf(key)),
    range: (start, limit) =>
      reading(path, () => [...database.getRange({ start: bufferOf(start), limit, snapshot: false })]),
    keys: (start, limit) =>
      reading(path, () => [...database.getKeys({ start: bufferOf(start), limit, snapshot: false })]),
    treePages: () => {
      const { treeBranchPageCount, treeLeafPageCount } = database.getStats() as TreeStats;
      return treeBranchPageCount + treeLeafPageCount;
    },
    drop: () => {
      onDropped();
      return database.drop() as unknown as Promise<boolean>;
    },
  };
}

/** What the library says of a damaged page names neither the file nor what to do. */
function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw damagedStore(path, textOf(cause), cause);
  }
}

function isTableLimit(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === DBS_FULL;
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** The library ends the names of tables with a NUL. */
function nameKey(name: string): Buffer {
  return Buffer.from(`${name}\0`);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

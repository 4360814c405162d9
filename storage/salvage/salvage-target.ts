// The new store that a damaged one is salvaged into: written without waiting for the disk, because until it is whole and
// on the disk nobody takes it for anything.
import { closeSync, fsyncSync, openSync, rmSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { TributaryError } from '../../stream/errors.ts';
import { PAGE_BYTES } from '../lmdb/commit-size.ts';
import { TABLES_MAX } from '../lmdb/lmdb-engine.ts';
import type { RowKind, RowTable } from '../pages/row-kind.ts';
import type { FoundRow } from './salvage-source.ts';
import { blockKey, noKey, noOf } from '../shard-keys.ts';
import type { LmdbLayout } from '../lmdb/store-format.ts';

type Db = Database<Buffer, Buffer>;

interface Write {
  readonly kind: RowKind;
  readonly key: Buffer;
  /** null deletes. */
  readonly value: Buffer | null;
}

const MIB = 1024 * 1024;
const BATCH_BYTES = 4 * MIB;
const BATCH_ROWS = 4_096;
/** For a batch that ends with the largest block: the library damages its process's memory when it meets a full disk. */
export const SALVAGE_ROOM_BYTES = 24 * MIB;
const FIRST_KEY = Buffer.of(0);
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

export class SalvageTarget {
  readonly #path: string;
  readonly #layout: LmdbLayout;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #tables = new Map<string, Db>();
  /** What wrote each row that was put: only a newer one takes its place. */
  readonly #transactions = new Map<string, bigint>();
  #waiting: Write[] = [];
  #waitingBytes = 0;
  readonly #waitingBlocks = new Set<string>();

  /** What is left of an earlier attempt is written anew. */
  constructor(path: string, layout: LmdbLayout) {
    for (const file of [path, `${path}-lock`]) rmSync(file, { force: true });
    this.#path = path;
    this.#layout = layout;
    this.#checkRoom();
    this.#root = open<Buffer, Buffer>({
      path,
      noSubdir: true,
      pageSize: PAGE_BYTES,
      overlappingSync: false,
      noSync: true,
      maxDbs: TABLES_MAX,
      ...BINARY,
    });
  }

  /** Answers whether it was put: not over a newer row, nor over any block under the same number. */
  offer({ kind, key, value, transaction }: FoundRow): boolean {
    const id = `${kind}\0${key.toString('latin1')}`;
    const known = this.#transactions.get(id);
    if (known !== undefined && known >= transaction) return false;
    if (kind === 'blocks') {
      if (this.#waitingBlocks.has(id)) return false;
      if (this.#table(kind, noOf(key)).doesExist(key)) return false;
      this.#waitingBlocks.add(id);
    } else this.#transactions.set(id, transaction);
    this.put(kind, key, value);
    return true;
  }

  put(kind: RowKind, key: Buffer, value: Buffer | null): void {
    this.#waiting.push({ kind, key, value });
    this.#waitingBytes += value?.length ?? 0;
    if (this.#waitingBytes >= BATCH_BYTES || this.#waiting.length >= BATCH_ROWS) this.flush();
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    this.#checkRoom();
    const writes = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#waitingBlocks.clear();
    for (const { kind, key } of writes) this.#tableOf(kind, key);
    this.#root.transactionSync(() => {
      for (const { kind, key, value } of writes) {
        const table = this.#tableOf(kind, key);
        if (value === null) void table.remove(key);
        else void table.put(key, value);
      }
    });
  }

  /** What was put and flushed, in key order. */
  rows(kind: RowTable): { readonly key: Buffer; readonly value: Buffer }[] {
    return [...this.#table(kind, 0).getRange({ start: FIRST_KEY })];
  }

  has(kind: RowTable, key: Buffer): boolean {
    return this.#table(kind, 0).doesExist(key);
  }

  row(kind: RowTable, key: Buffer): Buffer | undefined {
    return this.#table(kind, 0).get(key);
  }

  count(kind: RowTable): number {
    return this.#table(kind, 0).getKeysCount({ start: FIRST_KEY });
  }

  /** Blocks of a shard, in order. Nothing may be flushed before the last one is taken. */
  *blocks(no: number): Generator<{ readonly key: Buffer; readonly value: Buffer }> {
    yield* this.#table('blocks', no).getRange({ start: blockKey(no, 0n), end: noKey(no + 1) });
  }

  block(no: number, commit: bigint): Buffer | undefined {
    return this.#table('blocks', no).get(blockKey(no, commit));
  }

  /** Numbers of the shards that have blocks. */
  shardNumbers(): number[] {
    if (this.#layout === 'perShard') {
      return [...this.#tables.keys()].flatMap((name) =>
        name.startsWith('log/') ? [Number(name.slice(4))] : [],
      );
    }
    const numbers: number[] = [];
    for (let start = noKey(0); ;) {
      const [key] = [...this.#table('blocks', 0).getKeys({ start, limit: 1 })];
      if (key === undefined) return numbers;
      numbers.push(noOf(key));
      start = noKey(noOf(key) + 1);
    }
  }

  /** Whole and on the disk when it resolves. */
  async finish(): Promise<void> {
    this.flush();
    await this.#root.close();
    const descriptor = openSync(this.#path, 'r');
    fsyncSync(descriptor);
    closeSync(descriptor);
    rmSync(`${this.#path}-lock`, { force: true });
  }

  #tableOf(kind: RowKind, key: Buffer): Db {
    return this.#table(kind, kind === 'blocks' ? noOf(key) : 0);
  }

  #table(kind: RowKind, no: number): Db {
    const blocks = this.#layout === 'shared' ? 'log' : `log/${no}`;
    const name = kind === 'blocks' ? blocks : kind;
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table = this.#root.openDB<Buffer, Buffer>({ name, ...BINARY });
    this.#tables.set(name, table);
    return table;
  }

  #checkRoom(): void {
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    if (bavail * bsize >= SALVAGE_ROOM_BYTES) return;
    throw new TributaryError(
      'STORAGE_FULL',
      `the disk of ${dirname(this.#path)} has no room for what is salvaged: nothing was changed, make room and start again`,
    );
  }
}

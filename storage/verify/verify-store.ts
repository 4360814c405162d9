// Checks one store file, in this process: opens it read-only and compares what can be reached with what the file's own
// books say is there, because the library passes over a damaged page in silence. A damaged file may end the process with
// a signal, so it is called in a child only; verify-process.ts does that.
import { setImmediate } from 'node:timers/promises';
import { open } from 'lmdb';
import type { RootDatabase, Transaction } from 'lmdb';
import type { Digest } from '../../stream/ports.ts';
import { TABLES_MAX } from '../lmdb/lmdb-engine.ts';
import { FORMAT_KEY, FORMAT_VERSION, FORMAT_VERSION_MIN, decodeFormat } from '../lmdb/store-format.ts';
import type { StoreFormat } from '../lmdb/store-format.ts';
import { isLack } from '../lmdb/storage-error.ts';
import { copiedKey, isCopyRow } from '../meta-copy.ts';
import { entryOfRow } from '../meta-entry.ts';
import { decodeLane, noKey, noOf, refOf } from '../shard-keys.ts';
import { decodeShardRow } from '../lmdb/shard-row.ts';
import type { ShardRow } from '../lmdb/shard-row.ts';
import { ReportBuilder } from './verify-report.ts';
import type { VerifyReport } from './verify-report.ts';
import { BlockWalk } from './verify-blocks.ts';
import type { Db } from './verify-blocks.ts';

/** `ends`: of a shard's blocks only the oldest and the newest, and how many there are. */
export type VerifyDepth = 'whole' | 'ends';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const START_KEY = Buffer.of(0);
const ROW_TABLES = ['system', 'shards', 'lanes', 'dropped', 'meta'] as const;

/** Throws what the system does not give, such as memory. */
export async function verifyStore(path: string, digest: Digest, depth: VerifyDepth): Promise<VerifyReport> {
  const report = new ReportBuilder();
  try {
    const root = open<Buffer, Buffer>({
      path,
      noSubdir: true,
      readOnly: true,
      maxDbs: TABLES_MAX,
      ...BINARY,
    });
    await new StoreWalk(root, digest, report, depth).walk();
    await root.close();
  } catch (error) {
    if (isLack(error)) throw error;
    report.damage('unreadable', null, `${path} cannot be read: ${textOf(error)}`);
  }
  return report.report();
}

class StoreWalk {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #report: ReportBuilder;
  readonly #blocks: BlockWalk;
  readonly #depth: VerifyDepth;

  constructor(root: RootDatabase<Buffer, Buffer>, digest: Digest, report: ReportBuilder, depth: VerifyDepth) {
    this.#root = root;
    this.#report = report;
    this.#depth = depth;
    this.#blocks = new BlockWalk(digest, report, depth);
  }

  async walk(): Promise<void> {
    this.#checkRows(this.#root, 'of tables');
    const format = this.#format();
    if (format === null) return;
    for (const name of ROW_TABLES) this.#checkRows(this.#table(name), name);
    const shards = this.#table('shards');
    const shared = format.layout === 'shared' ? this.#table('log') : undefined;
    if (shards === undefined) return;
    if (shared !== undefined) this.#checkShared(shards, shared);
    for (const key of Array.from(shards.getKeys({ start: START_KEY }))) {
      this.#walkShard(shards, key, shared);
      // Lets go of the snapshot: a program that writes meanwhile cannot use the pages it freed before.
      await setImmediate();
    }
  }

  #format(): StoreFormat | null {
    const stored = this.#table('system')?.get(FORMAT_KEY);
    if (stored === undefined) {
      const text = 'the file says nothing of its format: it is no store of this program';
      // The format is the first thing that is written.
      this.#report.damage(entriesOf(this.#root) > 1 ? 'rows-missing' : 'format', null, text);
      return null;
    }
    const format = decodeFormat(stored);
    if (format.version >= FORMAT_VERSION_MIN && format.version <= FORMAT_VERSION) return format;
    const text = `format ${format.version} is unknown; this program reads ${FORMAT_VERSION_MIN} to ${FORMAT_VERSION}`;
    this.#report.damage('format', null, text);
    return null;
  }

  /** Every row can be reached and read. */
  #checkRows(table: Db | undefined, name: string): void {
    if (table === undefined) return;
    this.#inSnapshot((transaction) => {
      let count = 0;
      for (const { key, value } of table.getRange({ start: START_KEY, transaction })) {
        count += 1;
        if (name === 'meta') this.#checkEntry(name, key, key, value);
        else if (name === 'system' && isCopyRow(key)) this.#checkEntry(name, key, copiedKey(key), value);
      }
      this.#compare('rows-missing', `the table ${name}`, count, entriesOf(table));
    });
  }

  /** `under`: the key that the entry has in the map. */
  #checkEntry(table: string, key: Buffer, under: Buffer, value: Buffer): void {
    try {
      entryOfRow(under, value);
    } catch (error) {
      this.#report.damage(
        'map-row',
        null,
        `the entry ${key.toString()} of the table ${table}: ${textOf(error)}`,
      );
    }
  }

  #compare(kind: 'rows-missing' | 'block-missing', what: string, reached: number, booked: number): void {
    if (reached === booked) return;
    const text = `${what} has ${booked} rows by the file's own books, ${reached} were counted`;
    this.#report.damage(kind, null, text);
  }

  /** The row and the blocks of one moment, while another process goes on writing. */
  #walkShard(shards: Db, key: Buffer, shared: Db | undefined): void {
    const no = this.#inSnapshot((transaction) => {
      const value = shards.get(key, { transaction });
      return value === undefined ? null : this.#rowOf(key, value)?.no;
    });
    if (no === null || no === undefined) return;
    // A table is opened before the snapshot that reads it.
    const blocks = shared ?? this.#table(`log/${no}`);
    const lanes = this.#table('lanes');
    this.#inSnapshot((transaction) => {
      const value = shards.get(key, { transaction });
      // Dropped meanwhile.
      if (value === undefined) return;
      const row = this.#rowOf(key, value);
      if (row === null || row.no !== no) return;
      this.#report.count(row.streamName, 0, 0);
      const shard = labelOf(key);
      if (blocks === undefined) {
        this.#report.damage('block-missing', shard, `the table of shard number ${no} is missing`);
        return;
      }
      const count = this.#blocks.walk(blocks, row, shard, transaction);
      if (shared === undefined) {
        this.#compare('block-missing', `the table of shard number ${no}`, count, entriesOf(blocks));
      }
      if (lanes !== undefined) this.#walkLanes(lanes, row, shard, transaction);
    });
  }

  #walkLanes(lanes: Db, row: ShardRow, shard: string, transaction: Transaction): void {
    for (const { value } of lanes.getRange({ start: noKey(row.no), end: noKey(row.no + 1), transaction })) {
      try {
        decodeLane(value);
      } catch (error) {
        this.#report.damage('lane-row', shard, `the row of a lane is damaged: ${textOf(error)}`);
      }
    }
  }

  /** The table that all shards share, in one snapshot: no block of nobody, and as many as its books say. */
  #checkShared(shards: Db, blocks: Db): void {
    const dropped = this.#table('dropped');
    this.#inSnapshot((transaction) => {
      const rows = new Map<number, ShardRow | null>();
      for (const { key, value } of shards.getRange({ start: START_KEY, transaction })) {
        const row = this.#rowOf(key, value, false);
        if (row !== null) rows.set(row.no, row);
      }
      for (const key of dropped?.getKeys({ start: START_KEY, transaction }) ?? []) rows.set(noOf(key), null);
      const hasOrphans = this.#findOrphans(blocks, rows, transaction);
      if (this.#depth === 'ends' && hasOrphans) return;
      const count =
        this.#depth === 'whole'
          ? blocks.getKeysCount({ start: START_KEY, transaction })
          : this.#countByEnds(blocks, rows, transaction);
      this.#compare('block-missing', 'the table of blocks', count, entriesOf(blocks));
    });
  }

  /** Blocks of no shard: they would be found again by the next shard that gets their number. */
  #findOrphans(blocks: Db, rows: ReadonlyMap<number, ShardRow | null>, transaction: Transaction): boolean {
    let hasOrphans = false;
    let start = noKey(0);
    for (;;) {
      const [key] = [...blocks.getKeys({ start, limit: 1, transaction })];
      if (key === undefined) return hasOrphans;
      const no = noOf(key);
      if (!rows.has(no)) {
        this.#report.damage('orphan-blocks', null, `shard number ${no} has blocks and no row`);
        hasOrphans = true;
      }
      start = noKey(no + 1);
    }
  }

  #countByEnds(blocks: Db, rows: ReadonlyMap<number, ShardRow | null>, transaction: Transaction): number {
    let count = 0;
    for (const [no, row] of rows) {
      const range = { start: noKey(no), end: noKey(no + 1), transaction };
      count += row === null ? blocks.getKeysCount(range) : this.#blocks.countByEnds(blocks, row, transaction);
    }
    return count;
  }

  #rowOf(key: Buffer, value: Buffer, isReported = true): ShardRow | null {
    try {
      return decodeShardRow(value);
    } catch (error) {
      if (isReported) this.#report.damage('shard-row', labelOf(key), `its row is damaged: ${textOf(error)}`);
      return null;
    }
  }

  #inSnapshot<T>(look: (transaction: Transaction) => T): T {
    const transaction = this.#root.useReadTransaction();
    try {
      return look(transaction);
    } finally {
      transaction.done();
    }
  }

  /** Undefined when it is not there. */
  #table(name: string): Db | undefined {
    return this.#root.openDB<Buffer, Buffer>({ name, ...BINARY }) as Db | undefined;
  }
}

/** Of the snapshot under way. */
function entriesOf(table: Db): number {
  return (table.getStats() as { readonly entryCount: number }).entryCount;
}

function labelOf(key: Buffer): string {
  const { streamId, shardId } = refOf(key);
  return `${streamId}/${shardId}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Checks one store file, in this process: opens it read-only, walks every shard, decodes every block. A damaged file may
// end the process with a signal, so it is called in a child only; verify.ts does that.
import { setImmediate } from 'node:timers/promises';
import { open } from 'lmdb';
import type { Database, RootDatabase, Transaction } from 'lmdb';
import { decodeBlock, checkBlock } from '../stream/block.ts';
import type { Digest } from '../stream/ports.ts';
import { FORMAT_KEY, FORMAT_VERSION } from './lmdb-store.ts';
import type { StoreFormat } from './lmdb-store.ts';
import { TABLES_MAX } from './lmdb-engine.ts';
import { blockKey, commitOf, decodeLane, noKey, noOf, refOf } from './shard-keys.ts';
import { decodeShardRow } from './shard-row.ts';
import type { ShardRow } from './shard-row.ts';
import { readEnvelope, unwrapBlock } from './stored-block.ts';
import type { ReadEnvelope } from './stored-block.ts';
import { ReportBuilder } from './verify-report.ts';
import type { VerifyReport } from './verify-report.ts';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const START_KEY = Buffer.of(0);

type Db = Database<Buffer, Buffer>;

export async function verifyStore(path: string, digest: Digest): Promise<VerifyReport> {
  const report = new ReportBuilder();
  try {
    const root = open<Buffer, Buffer>({
      path,
      noSubdir: true,
      readOnly: true,
      maxDbs: TABLES_MAX,
      ...BINARY,
    });
    await new StoreWalk(root, digest, report).walk();
    await root.close();
  } catch (error) {
    report.damage('unreadable', null, `${path} cannot be read: ${textOf(error)}`);
  }
  return report.report();
}

class StoreWalk {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #digest: Digest;
  readonly #report: ReportBuilder;

  constructor(root: RootDatabase<Buffer, Buffer>, digest: Digest, report: ReportBuilder) {
    this.#root = root;
    this.#digest = digest;
    this.#report = report;
  }

  async walk(): Promise<void> {
    const stored = this.#table('system')?.get(FORMAT_KEY);
    if (stored === undefined) {
      this.#report.damage(
        'format',
        null,
        'the file says nothing of its format: it is no store of this program',
      );
      return;
    }
    const { version, layout } = JSON.parse(stored.toString()) as StoreFormat;
    if (version !== FORMAT_VERSION) {
      this.#report.damage(
        'format',
        null,
        `format ${version} is unknown; this program reads ${FORMAT_VERSION}`,
      );
      return;
    }
    const shards = this.#table('shards');
    const shared = layout === 'shared' ? this.#table('log') : undefined;
    if (shards === undefined) return;
    if (shared !== undefined) this.#findOrphans(shards, shared);
    for (const key of Array.from(shards.getKeys({ start: START_KEY }))) {
      this.#walkShard(shards, key, shared);
      // Lets go of the snapshot: a program that writes meanwhile cannot use the pages it freed before.
      await setImmediate();
    }
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
      if (blocks === undefined) {
        this.#report.damage('block-missing', labelOf(key), `the table of shard number ${no} is missing`);
        return;
      }
      this.#walkBlocks(blocks, row, labelOf(key), transaction);
      if (lanes !== undefined) this.#walkLanes(lanes, row, labelOf(key), transaction);
    });
  }

  #walkBlocks(blocks: Db, row: ShardRow, shard: string, transaction: Transaction): void {
    const range = { start: blockKey(row.no, 0n), end: noKey(row.no + 1), transaction };
    let next = row.oldest;
    let before: ReadEnvelope | null = null;
    for (const { key, value } of blocks.getRange(range)) {
      const commit = commitOf(key);
      if (commit !== next) {
        this.#report.damage('block-missing', shard, `block ${commit} follows where ${next} is expected`);
        before = null;
      }
      next = commit + 1n;
      const envelope = this.#checkBlock(value, `block ${commit}`, shard);
      if (envelope === null) {
        before = null;
        continue;
      }
      if (before !== null) this.#checkCounts(before, envelope, commit, shard);
      before = envelope;
      if (commit >= row.first) this.#report.count(row.streamName, envelope.recordCount, envelope.blockBytes);
    }
    if (next < row.next) {
      this.#report.damage(
        'block-missing',
        shard,
        `it ends at block ${next - 1n}, its row says ${row.next - 1n}`,
      );
    }
  }

  #checkBlock(stored: Buffer, name: string, shard: string): ReadEnvelope | null {
    try {
      const envelope = readEnvelope(stored);
      const { block } = unwrapBlock(stored);
      const header = checkBlock(block, this.#digest);
      // A codec this program lacks: the checksum has covered every byte.
      if (header.codec === 0) decodeBlock(block, this.#digest);
      if (header.recordCount === envelope.recordCount) return envelope;
      const text = `${name} has ${header.recordCount} records, its envelope says ${envelope.recordCount}`;
      this.#report.damage('counts', shard, text);
    } catch (error) {
      this.#report.damage('block-damaged', shard, `${name}: ${textOf(error)}`);
    }
    return null;
  }

  #checkCounts(before: ReadEnvelope, envelope: ReadEnvelope, commit: bigint, shard: string): void {
    const records = before.cumulativeRecords + envelope.recordCount;
    const bytes = before.cumulativeBytes + envelope.blockBytes;
    if (envelope.cumulativeRecords === records && envelope.cumulativeBytes === bytes) return;
    this.#report.damage(
      'counts',
      shard,
      `up to block ${commit} there are ${records} records and ${bytes} bytes, its envelope says ` +
        `${envelope.cumulativeRecords} and ${envelope.cumulativeBytes}`,
    );
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

  /** Blocks of no shard: they would be found again by the next shard that gets their number. */
  #findOrphans(shards: Db, blocks: Db): void {
    const dropped = this.#table('dropped');
    this.#inSnapshot((transaction) => {
      const known = new Set<number>();
      for (const { key, value } of shards.getRange({ start: START_KEY, transaction })) {
        const row = this.#rowOf(key, value, false);
        if (row !== null) known.add(row.no);
      }
      for (const key of dropped?.getKeys({ start: START_KEY, transaction }) ?? []) known.add(noOf(key));
      let start = noKey(0);
      for (;;) {
        const [key] = [...blocks.getKeys({ start, limit: 1, transaction })];
        if (key === undefined) return;
        const no = noOf(key);
        if (!known.has(no))
          this.#report.damage('orphan-blocks', null, `shard number ${no} has blocks and no row`);
        start = noKey(no + 1);
      }
    });
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

function labelOf(key: Buffer): string {
  const { streamId, shardId } = refOf(key);
  return `${streamId}/${shardId}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

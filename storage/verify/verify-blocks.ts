// Verifies the blocks of one shard in a snapshot: from the oldest on, and from the newest back, which must meet.
import type { Database, Transaction } from 'lmdb';
import { nodeCodecs } from '../../runtime/codecs.ts';
import type { Digest } from '../../stream/ports.ts';
import { checkStoredBlock } from './block-check.ts';
import { blockKey, commitOf, noKey } from '../shard-keys.ts';
import type { ShardRow } from '../lmdb/shard-row.ts';
import { homeOf, isEnvelopeSound, readEnvelope, unwrapBlock } from '../lmdb/stored-block.ts';
import type { ReadEnvelope } from '../lmdb/stored-block.ts';
import type { ReportBuilder } from './verify-report.ts';

export type Db = Database<Buffer, Buffer>;

export class BlockWalk {
  readonly #digest: Digest;
  readonly #report: ReportBuilder;
  readonly #isWhole: boolean;

  constructor(digest: Digest, report: ReportBuilder, depth: 'whole' | 'ends') {
    this.#digest = digest;
    this.#report = report;
    this.#isWhole = depth === 'whole';
  }

  /** How many blocks there are; of those that were not walked, how many there must be. */
  walk(blocks: Db, row: ShardRow, shard: string, transaction: Transaction): number {
    const newest = newestOf(blocks, row, transaction);
    if (!this.#isWhole) {
      if (newest !== null) this.#checkEnds(blocks, row, newest, shard, transaction);
      return this.countByEnds(blocks, row, transaction);
    }
    const { count, next } = this.#walkAll(blocks, row, shard, transaction);
    const end = newest === null ? row.oldest : newest + 1n;
    if (next < end) {
      const text = `it ends at block ${next - 1n}; read from its end, block ${end - 1n} is there`;
      this.#report.damage('block-missing', shard, text);
    }
    if (next < row.next) {
      const text = `it ends at block ${next - 1n}, its row says ${row.next - 1n}`;
      this.#report.damage('block-missing', shard, text);
    }
    return count;
  }

  countByEnds(blocks: Db, row: ShardRow, transaction: Transaction): number {
    const newest = newestOf(blocks, row, transaction);
    const next = newest === null || newest + 1n < row.next ? row.next : newest + 1n;
    return Number(next - row.oldest);
  }

  #checkEnds(blocks: Db, row: ShardRow, newest: bigint, shard: string, transaction: Transaction): void {
    for (const commit of new Set([row.oldest, newest])) {
      const stored = blocks.get(blockKey(row.no, commit), { transaction });
      if (stored === undefined) this.#report.damage('block-missing', shard, `block ${commit} is missing`);
      else this.#checkBlock(stored, row.no, commit, shard);
    }
  }

  #walkAll(
    blocks: Db,
    row: ShardRow,
    shard: string,
    transaction: Transaction,
  ): { count: number; next: bigint } {
    const range = { start: blockKey(row.no, 0n), end: noKey(row.no + 1), transaction };
    let count = 0;
    let next = row.oldest;
    let before: ReadEnvelope | null = null;
    for (const { key, value } of blocks.getRange(range)) {
      count += 1;
      const commit = commitOf(key);
      if (commit !== next) {
        const text = `block ${commit} follows where ${next} is expected`;
        this.#report.damage('block-missing', shard, text);
        before = null;
      }
      next = commit + 1n;
      const envelope = this.#checkBlock(value, row.no, commit, shard);
      if (envelope !== null) {
        if (before !== null) this.#checkCounts(before, envelope, commit, shard);
        if (commit >= row.first) this.#count(row, envelope);
      }
      before = envelope;
    }
    return { count, next };
  }

  #count({ streamName }: ShardRow, { isLost, recordCount, blockBytes }: ReadEnvelope): void {
    if (isLost) this.#report.count(streamName, 0, 0, recordCount);
    else this.#report.count(streamName, recordCount, blockBytes);
  }

  #checkBlock(stored: Buffer, no: number, commit: bigint, shard: string): ReadEnvelope | null {
    const name = `block ${commit}`;
    const envelope = this.#checkEnvelope(stored, no, commit, shard);
    if (envelope === null || envelope.isLost) return envelope;
    try {
      const { block } = unwrapBlock(stored);
      const { recordCount } = checkStoredBlock(block, this.#digest, nodeCodecs);
      if (recordCount === envelope.recordCount) return envelope;
      const text = `${name} has ${recordCount} records, its envelope says ${envelope.recordCount}`;
      this.#report.damage('counts', shard, text);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#report.damage('block-damaged', shard, `${name}: ${text}`);
    }
    return null;
  }

  #checkEnvelope(stored: Buffer, no: number, commit: bigint, shard: string): ReadEnvelope | null {
    let envelope: ReadEnvelope | null = null;
    try {
      envelope = readEnvelope(stored);
      const home = homeOf(stored);
      const isHome = home === null || (home.shardNo === no && home.commit === commit);
      if (isHome && isEnvelopeSound(stored)) return envelope;
    } catch {
      // Told below.
    }
    const text = `block ${commit}: what stands beside it is damaged, or another block's`;
    this.#report.damage('envelope-damaged', shard, text);
    return envelope;
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
}

function newestOf(blocks: Db, row: ShardRow, transaction: Transaction): bigint | null {
  const range = { start: noKey(row.no + 1), end: noKey(row.no), reverse: true, limit: 1, transaction };
  const [key] = [...blocks.getKeys(range)];
  return key === undefined ? null : commitOf(key);
}

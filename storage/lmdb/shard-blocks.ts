// Reading the blocks of one shard by what its row says of them. Arrival times and counts are in the envelopes, so every
// search is a halving; the row comes in from outside, because readers and writers see different versions of it.
import { TributaryError, assert } from '../../stream/errors.ts';
import { AFTER_BLOCK_INDEX, positionParts } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import type { BlockPage, PageBounds, StoredBlock } from '../../stream/ports.ts';
import type { Table } from './batch.ts';
import { placeOf, positionAt } from './shard-epochs.ts';
import { blockKey } from '../shard-keys.ts';
import type { ShardRow } from './shard-row.ts';
import { readEnvelope, unwrapBlock } from './stored-block.ts';
import type { ReadEnvelope } from './stored-block.ts';
import { effectiveArrival } from '../time-segments.ts';

const COMMIT_MAX = (1n << 64n) - 1n;

export class ShardBlocks {
  readonly table: Table;
  readonly #no: number;
  /** The oldest block is asked for at every call. */
  #oldest: { readonly commit: bigint; readonly envelope: ReadEnvelope } | null = null;

  constructor(table: Table, no: number) {
    this.table = table;
    this.#no = no;
  }

  /** Oldest commit that is kept and has not expired. `retentionMs`: instead of that of the row. */
  horizon(row: ShardRow, nowMs: number, retentionMs = row.retentionMs): bigint {
    if (retentionMs === Infinity || row.first >= row.next) return row.first;
    const oldestMs = nowMs - retentionMs;
    const isKept = (commit: bigint, { arrivalMs }: ReadEnvelope) =>
      effectiveArrival(row.segments, commit, arrivalMs) >= oldestMs;
    if (isKept(row.first, this.#oldestEnvelope(row.first))) return row.first;
    return firstWhere(row.first, row.next, (commit) => isKept(commit, this.#envelope(commit)));
  }

  /** Records and bytes of the shard before `commit`. */
  countsBefore(row: ShardRow, commit: bigint): { records: number; bytes: number } {
    if (commit >= row.next) return { records: row.cumulativeRecords, bytes: row.cumulativeBytes };
    const envelope = this.#oldestEnvelope(commit);
    return {
      records: envelope.cumulativeRecords - envelope.recordCount,
      bytes: envelope.cumulativeBytes - envelope.blockBytes,
    };
  }

  /** First position from commit `first` on that arrived at or after `ms`. */
  seekTime(row: ShardRow, first: bigint, ms: number): Position {
    for (const [index, segment] of row.segments.entries()) {
      const start = segment.commit > first ? segment.commit : first;
      const end = row.segments[index + 1]?.commit ?? row.next;
      if (start >= end || this.#envelope(end - 1n).arrivalMs < ms) continue;
      const found = firstWhere(start, end, (commit) => this.#envelope(commit).arrivalMs >= ms);
      return positionAt(row.epochs, found, 0);
    }
    return positionAt(row.epochs, row.next, 0);
  }

  seekOrdinal(row: ShardRow, first: bigint, ordinal: bigint): Position {
    const commit = firstWhere(
      first,
      row.next,
      (candidate) => BigInt(this.#envelope(candidate).cumulativeRecords) >= ordinal,
    );
    if (commit >= row.next) return positionAt(row.epochs, row.next, 0);
    const { cumulativeRecords, recordCount, isLost } = this.#envelope(commit);
    // Of what is lost no record has a place; reading goes on behind it.
    if (isLost) return positionAt(row.epochs, commit, 0);
    const before = cumulativeRecords - recordCount;
    return positionAt(row.epochs, commit, Math.max(0, Number(ordinal) - before - 1));
  }

  /** The first commit whose block has something at or behind `position`; `row.next` when none has. */
  commitFrom(row: ShardRow, position: Position): bigint {
    const { commit, isInside } = placeOf(row.epochs, row.next, position);
    if (commit < row.first) return row.first;
    if (!isInside) return commit;
    const { index } = positionParts(position);
    const isBehind =
      index > 0 && (index === AFTER_BLOCK_INDEX || index >= this.#envelope(commit).recordCount);
    return isBehind ? commit + 1n : commit;
  }

  /** Oldest and newest commit from `first` on that have a block; null when none has. */
  keptEnds(row: ShardRow, first: bigint): { first: bigint; last: bigint; lastRecordCount: number } | null {
    const oldest = this.#firstKept(row, first);
    if (oldest >= row.next) return null;
    let last = row.next - 1n;
    while (this.#envelope(last).isLost) last -= 1n;
    return { first: oldest, last, lastRecordCount: this.#envelope(last).recordCount };
  }

  page(row: ShardRow, first: bigint, from: Position, max: PageBounds): BlockPage {
    const start = this.commitFrom(row, from);
    let commit = this.#firstKept(row, start > first ? start : first);
    const blocks: StoredBlock[] = [];
    let bytes = 0;
    while (commit < row.next && (blocks.length === 0 || blocks.length < max.blocks)) {
      const stored = this.#block(row, commit);
      bytes += stored.block.length;
      if (blocks.length > 0 && bytes > max.bytes) break;
      blocks.push(stored);
      commit = this.#firstKept(row, commit + 1n);
    }
    const hasMore = commit < row.next;
    return {
      blocks,
      next: positionAt(row.epochs, commit, 0),
      nextArrivalMs: hasMore ? this.#envelope(commit).arrivalMs : null,
      closedEnd: row.closed && !hasMore,
    };
  }

  /** The row as the newest block says it is: appends do not write rows. */
  recover(row: ShardRow): ShardRow {
    const next = firstWhere(row.next, COMMIT_MAX, (commit) => this.#stored(commit) === undefined);
    if (next === row.next) return row;
    const newest = this.#envelope(next - 1n);
    if (next - 1n > row.oldest) this.#checkNewest(newest, next - 2n);
    return {
      ...row,
      next,
      lastArrivalMs: newest.arrivalMs,
      lastRecordCount: newest.recordCount,
      cumulativeRecords: newest.cumulativeRecords,
      cumulativeBytes: newest.cumulativeBytes,
    };
  }

  /** Ordinals go on from it: it must continue what was before, unless that is damaged itself. */
  #checkNewest(newest: ReadEnvelope, commitBefore: bigint): void {
    const before = tryEnvelope(this.#present(commitBefore));
    const continues =
      before === null ||
      (newest.cumulativeRecords === before.cumulativeRecords + newest.recordCount &&
        newest.cumulativeBytes === before.cumulativeBytes + newest.blockBytes);
    assert(continues, `block ${commitBefore + 1n} of shard number ${this.#no} does not continue its counts`);
  }

  /** From `commit` on. A row without losses is not asked. */
  #firstKept(row: ShardRow, commit: bigint): bigint {
    let kept = commit;
    if (row.lost.length > 0) while (kept < row.next && this.#envelope(kept).isLost) kept += 1n;
    return kept;
  }

  #oldestEnvelope(commit: bigint): ReadEnvelope {
    if (this.#oldest?.commit !== commit) this.#oldest = { commit, envelope: this.#envelope(commit) };
    return this.#oldest.envelope;
  }

  #envelope(commit: bigint): ReadEnvelope {
    return this.#read(commit, this.#present(commit));
  }

  /** Without it nobody knows what the shard has: the next start looks at the whole store. */
  #read(commit: bigint, stored: Uint8Array): ReadEnvelope {
    const envelope = tryEnvelope(stored);
    if (envelope !== null) return envelope;
    const text = `what stands beside block ${commit} of shard number ${this.#no} is damaged; start again to repair the store`;
    throw new TributaryError('STORAGE_FAILED', text);
  }

  #block(row: ShardRow, commit: bigint): StoredBlock {
    const stored = this.#present(commit);
    const { blockBytes: storedBytes, isLost: _lost, ...envelope } = this.#read(commit, stored);
    const first = positionAt(row.epochs, commit, 0);
    return { ...envelope, storedBytes, first, ...unwrapBlock(stored) };
  }

  #present(commit: bigint): Uint8Array {
    const stored = this.#stored(commit);
    if (stored !== undefined) return stored;
    const text = `block ${commit} of shard number ${this.#no} is missing; start again to repair the store`;
    throw new TributaryError('STORAGE_FAILED', text);
  }

  #stored(commit: bigint): Uint8Array | undefined {
    return this.table.get(blockKey(this.#no, commit));
  }
}

function tryEnvelope(stored: Uint8Array): ReadEnvelope | null {
  try {
    return readEnvelope(stored);
  } catch {
    return null;
  }
}

/**
 * First of low..high-1 that holds, else `high`; behind one that holds all do. Looks near `low` first, in growing steps:
 * that is where the horizon is, and the end of what is new.
 */
function firstWhere(low: bigint, high: bigint, holds: (commit: bigint) => boolean): bigint {
  let from = low;
  let to = high;
  for (let step = 1n; from < to; step *= 2n) {
    const probe = from + step < to ? from + step - 1n : to - 1n;
    if (holds(probe)) {
      to = probe;
      break;
    }
    from = probe + 1n;
  }
  while (from < to) {
    const middle = (from + to) / 2n;
    if (holds(middle)) to = middle;
    else from = middle + 1n;
  }
  return from;
}

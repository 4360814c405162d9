// Passes the blocks that were found of one shard, in order, and decides what of it is kept.
import { LaneEnds } from './salvage-lanes.ts';
import { fits, lookAtBlock, runOf, startOf } from './salvage-shard.ts';
import type { FoundBlock, Hole } from './salvage-shard.ts';
import { startEpoch } from '../lmdb/shard-epochs.ts';
import type { LostRun, ShardRow } from '../lmdb/shard-row.ts';
import { segmentsFrom } from '../time-segments.ts';

export interface SalvagedShard {
  readonly row: ShardRow;
  readonly lanes: LaneEnds;
  readonly holes: readonly Hole[];
  /** Keys of blocks that are none of it. */
  readonly refused: readonly Buffer[];
  /** Blocks to write anew without their notes, because those are damaged. */
  readonly mended: readonly Buffer[];
  readonly records: number;
  readonly bytes: number;
  readonly lostRecords: number;
  /** Records in front of the first kept one are missing, and nobody knows how many. */
  readonly isStartUnknown: boolean;
}

export class ShardWalk {
  readonly #row: ShardRow;
  readonly #tag: number;
  /** Of a row that was replaced since, what it says of the start is not what was there. */
  readonly #isOldRow: boolean;
  readonly #lanes = new LaneEnds();
  readonly #holes: Hole[] = [];
  readonly #marks: LostRun[] = [];
  readonly #refused: Buffer[] = [];
  readonly #mended: Buffer[] = [];
  #first: FoundBlock | null = null;
  #before: FoundBlock | null = null;
  #waiting: { readonly key: Buffer; readonly block: FoundBlock } | null = null;
  #records = 0;
  #bytes = 0;
  #isEndMarked = false;

  constructor(row: ShardRow, tag: number, isOldRow: boolean) {
    this.#row = row;
    this.#tag = tag;
    this.#isOldRow = isOldRow;
  }

  pass(key: Buffer, stored: Buffer): void {
    const block = lookAtBlock(key, stored, this.#tag);
    if (block === null || block.commit < this.#row.first) {
      this.#refused.push(key);
      return;
    }
    this.#judge(block);
    this.#waiting = { key, block };
  }

  end(epoch: bigint): SalvagedShard {
    this.#judge(null);
    const isStartUnknown = this.#openStart();
    this.#openEnd();
    const row = this.#rowAfter(epoch);
    const lost = this.#holes.map(runOf);
    const lostRecords = lost.reduce((sum, { records }) => sum + records, 0);
    const runs = [...lost, ...this.#marks].toSorted((a, b) => Number(a.commit - b.commit));
    return {
      row: { ...row, lost: joined(runs), lostRecords: row.lostRecords + lostRecords },
      lanes: this.#lanes,
      holes: this.#holes,
      refused: this.#refused,
      mended: this.#mended,
      records: this.#records,
      bytes: this.#bytes,
      lostRecords,
      isStartUnknown,
    };
  }

  /** The one that waits, now that the one behind it is known. */
  #judge(after: FoundBlock | null): void {
    if (this.#waiting === null) return;
    const { key, block } = this.#waiting;
    this.#waiting = null;
    if (fits(this.#before, block, after)) this.#keep(key, block);
    else this.#refused.push(key);
  }

  #keep(key: Buffer, block: FoundBlock): void {
    const { commit, envelope, isSound } = block;
    if (this.#before !== null && this.#before.commit + 1n < commit) this.#openHole(this.#before, block);
    this.#first ??= block;
    this.#before = block;
    this.#lanes.pass(block);
    if (!isSound) this.#mended.push(key);
    if (envelope.isLost) {
      const { recordCount: records, blockBytes: bytes } = envelope;
      this.#marks.push({ commit, end: commit + 1n, records, bytes });
    } else {
      this.#records += envelope.recordCount;
      this.#bytes += envelope.blockBytes;
    }
  }

  #openHole(before: FoundBlock, after: FoundBlock): void {
    const { cumulativeRecords: records, cumulativeBytes: bytes, arrivalMs } = before.envelope;
    this.#holes.push({
      commit: before.commit + 1n,
      end: after.commit,
      from: { records, bytes },
      to: startOf(after.envelope),
      arrivalMs,
      nextArrivalMs: after.envelope.arrivalMs,
    });
  }

  /** Whether something is missing there that cannot be counted. */
  #openStart(): boolean {
    const [row, first] = [this.#row, this.#first];
    if (first === null || first.commit === row.first) return false;
    const to = startOf(first.envelope);
    if (row.before === null || this.#isOldRow || to.records < row.before.records) return true;
    const { arrivalMs } = first.envelope;
    const times = { arrivalMs, nextArrivalMs: arrivalMs };
    this.#holes.unshift({ commit: row.first, end: first.commit, from: row.before, to, ...times });
    return false;
  }

  /** What the row knows of beyond the newest block. */
  #openEnd(): void {
    const row = this.#row;
    const newest = this.#before;
    const to = { records: row.cumulativeRecords, bytes: row.cumulativeBytes };
    const from =
      newest === null
        ? row.before
        : { records: newest.envelope.cumulativeRecords, bytes: newest.envelope.cumulativeBytes };
    const commit = newest === null ? row.first : newest.commit + 1n;
    if (from === null || commit >= row.next || to.records < from.records) return;
    const arrivalMs = newest?.envelope.arrivalMs ?? row.lastArrivalMs ?? 0;
    const nextArrivalMs = row.lastArrivalMs ?? arrivalMs;
    this.#isEndMarked = true;
    this.#holes.push({ commit, end: row.next, from, to, arrivalMs, nextArrivalMs });
  }

  #rowAfter(epoch: bigint): ShardRow {
    const row = this.#row;
    const end = this.#end();
    const { first, before } = this.#start(end);
    return {
      ...row,
      ...end,
      first,
      oldest: first,
      before,
      epochs: row.closed ? row.epochs : startEpoch(row.epochs, first, end.next, epoch),
      segments: segmentsFrom(row.segments, first),
    };
  }

  #start({ next, cumulativeRecords, cumulativeBytes }: End): Pick<ShardRow, 'first' | 'before'> {
    const [hole, block] = [this.#holes[0], this.#first];
    if (hole !== undefined && (block === null || hole.commit < block.commit))
      return { first: hole.commit, before: hole.from };
    if (block !== null) return { first: block.commit, before: startOf(block.envelope) };
    return { first: next, before: { records: cumulativeRecords, bytes: cumulativeBytes } };
  }

  /** As the newest block says it, unless the row knows of more. */
  #end(): End {
    const newest = this.#before;
    if (newest === null || this.#isEndMarked) return this.#row;
    const { recordCount, arrivalMs, cumulativeRecords, cumulativeBytes } = newest.envelope;
    const counts = { cumulativeRecords, cumulativeBytes };
    return { ...counts, next: newest.commit + 1n, lastRecordCount: recordCount, lastArrivalMs: arrivalMs };
  }
}

type End = Pick<
  ShardRow,
  'next' | 'lastArrivalMs' | 'lastRecordCount' | 'cumulativeRecords' | 'cumulativeBytes'
>;

/** Runs that touch are one. */
function joined(runs: readonly LostRun[]): readonly LostRun[] {
  const all: LostRun[] = [];
  for (const run of runs) {
    const last = all.at(-1);
    if (last?.end !== run.commit) all.push(run);
    else {
      const sums = { records: last.records + run.records, bytes: last.bytes + run.bytes };
      all.splice(-1, 1, { commit: last.commit, end: run.end, ...sums });
    }
  }
  return all;
}

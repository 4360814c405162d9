// Which of the blocks that were found make up a shard again: in order, each continuing the counts of the one before, with
// a mark where some are missing. Pure: it reads blocks and answers what to write.
import { runIdOf } from '../../stream/block-cut.ts';
import type { Codec, Digest } from '../../stream/ports.ts';
import type { RecordClass } from '../../stream/record.ts';
import { commitOf } from '../shard-keys.ts';
import type { LostRun, ShardRow } from '../lmdb/shard-row.ts';
import { homeOf, isEnvelopeSound, readEnvelope, unwrapBlock } from '../lmdb/stored-block.ts';
import type { ReadEnvelope } from '../lmdb/stored-block.ts';
import { checkStoredBlock, headOfStored } from '../verify/block-check.ts';

export interface FoundBlock {
  readonly commit: bigint;
  readonly envelope: ReadEnvelope;
  /** Its envelope has been proved; otherwise its neighbours must. */
  readonly isSure: boolean;
  readonly isSound: boolean;
  /** Null: it does not say. */
  readonly laneHash: bigint | null;
  /** Null: it does not say. */
  readonly class: RecordClass | null;
  readonly run: string;
  /** Null: it does not say. */
  readonly firstOrdinal: bigint | null;
}

export interface Mark {
  readonly commit: bigint;
  readonly records: number;
  readonly bytes: number;
  /** Of the shard, up to and including it. */
  readonly cumulativeRecords: number;
  readonly cumulativeBytes: number;
  readonly arrivalMs: number;
}

/** Null when it is no whole block of that shard. */
export function lookAtBlock(key: Buffer, stored: Buffer, tag: number): FoundBlock | null {
  try {
    const envelope = readEnvelope(stored);
    const home = homeOf(stored);
    const isSound = isEnvelopeSound(stored);
    if (home !== null && isSound && home.shardTag !== tag) return null;
    const found = { commit: commitOf(key), envelope, isSound, isSure: home !== null && isSound };
    if (envelope.isLost) {
      return isSound ? { ...found, laneHash: 0n, class: null, run: '', firstOrdinal: 0n } : null;
    }
    const head = headOfStored(unwrapBlock(stored).block);
    if (head.recordCount !== envelope.recordCount) return null;
    return {
      ...found,
      laneHash: home === null || !isSound ? null : home.laneHash,
      class: head.class,
      run: Buffer.from(runIdOf(head)).toString('hex'),
      firstOrdinal: head.firstOrdinal,
    };
  } catch {
    return null;
  }
}

/** Whether a stored block is worth keeping before its neighbours are known. */
export function isWholeBlock(stored: Buffer, digest: Digest, codecs: readonly Codec[]): boolean {
  try {
    const { isLost } = readEnvelope(stored);
    if (!isLost) checkStoredBlock(unwrapBlock(stored).block, digest, codecs);
    return !isLost || isEnvelopeSound(stored);
  } catch {
    return false;
  }
}

/** Whether a block can be what stands between the one kept before it and the one found behind it. */
export function fits(before: FoundBlock | null, block: FoundBlock, after: FoundBlock | null): boolean {
  if (before !== null && !follows(before, block)) return false;
  if (block.isSure) return true;
  if (before?.commit === block.commit - 1n) return true;
  if (after?.commit === block.commit + 1n) return follows(block, after);
  // Alone: an envelope that is known to be damaged proves nothing.
  return block.isSound;
}

function follows(before: FoundBlock, block: FoundBlock): boolean {
  const [start, end] = [startOf(block.envelope), before.envelope];
  if (block.commit === before.commit + 1n)
    return start.records === end.cumulativeRecords && start.bytes === end.cumulativeBytes;
  return start.records >= end.cumulativeRecords && start.bytes >= end.cumulativeBytes;
}

export function startOf(envelope: ReadEnvelope): { records: number; bytes: number } {
  return {
    records: envelope.cumulativeRecords - envelope.recordCount,
    bytes: envelope.cumulativeBytes - envelope.blockBytes,
  };
}

export interface Hole {
  readonly commit: bigint;
  readonly end: bigint;
  /** Counts of the shard in front of it and behind it. */
  readonly from: { readonly records: number; readonly bytes: number };
  readonly to: { readonly records: number; readonly bytes: number };
  readonly arrivalMs: number;
  readonly nextArrivalMs: number;
}

export function runOf({ commit, end, from, to }: Hole): LostRun {
  return { commit, end, records: to.records - from.records, bytes: to.bytes - from.bytes };
}

/** A mark for each commit; the first has what is known of all of them. */
export function* marksOf(hole: Hole, { segments }: ShardRow): Generator<Mark> {
  const { records, bytes } = runOf(hole);
  for (let commit = hole.commit; commit < hole.end; commit += 1n) {
    const isFirst = commit === hole.commit;
    // Arrival times descend at the start of a segment only.
    const isNext = segments.some((segment) => segment.commit >= hole.commit && segment.commit <= commit);
    yield {
      commit,
      records: isFirst ? records : 0,
      bytes: isFirst ? bytes : 0,
      cumulativeRecords: hole.to.records,
      cumulativeBytes: hole.to.bytes,
      arrivalMs: isNext ? hole.nextArrivalMs : hole.arrivalMs,
    };
  }
}

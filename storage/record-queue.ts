// What waits for its commit in a RecordLog: appends gathered by shard and class, and cut into blocks.
import { assert } from '../stream/errors.ts';
import type { MetaChange, ShardRef } from '../stream/ports.ts';
import type { Position } from '../stream/position.ts';
import type { RecordClass, TimedRecord } from '../stream/record.ts';
import { BLOCK_RECORDS_MAX, NOTE_BYTES_MAX } from '../stream/limits.ts';
import { cutIntoBlocks } from './block-builder.ts';

export interface Waiter {
  readonly records: readonly TimedRecord[];
  readonly with: readonly MetaChange[];
  readonly note: Uint8Array | null;
  readonly resolve: (positions: AppendedPositions) => void;
  readonly reject: (error: unknown) => void;
}

export interface RecordQueue {
  readonly ref: ShardRef;
  readonly class: RecordClass;
  /** Its records are numbered as a lane of the log. */
  readonly isLane: boolean;
  readonly waiters: Waiter[];
}

export interface RecordBatch {
  readonly records: readonly TimedRecord[];
  readonly with: readonly MetaChange[];
  readonly note: Uint8Array | null;
}

/** Of one call: so many that all calls of a block stay within NOTE_BYTES_MAX. */
export const CALL_NOTE_BYTES_MAX = Math.floor(NOTE_BYTES_MAX / BLOCK_RECORDS_MAX);

/** One batch for each block. */
export function batchesOf(waiters: readonly Waiter[]): RecordBatch[] {
  const batches = cutIntoBlocks(waiters.flatMap((waiter) => waiter.records));
  const changes = waiters.flatMap((waiter) => waiter.with);
  const notes = notesOf(waiters, batches);
  return batches.map((records, index) => ({
    records,
    // Side writes go with the last block: they must not be durable before the records they speak of.
    with: index === batches.length - 1 ? changes : [],
    note: notes[index] ?? null,
  }));
}

/** For each block the notes of the calls whose records end in it. */
function notesOf(
  waiters: readonly Waiter[],
  blocks: readonly (readonly TimedRecord[])[],
): (Uint8Array | null)[] {
  const remaining = waiters.values();
  let waiter = remaining.next();
  let ended = 0;
  let blockEnd = 0;
  return blocks.map((block) => {
    blockEnd += block.length;
    const notes: Uint8Array[] = [];
    for (
      ;
      waiter.done !== true && ended + waiter.value.records.length <= blockEnd;
      waiter = remaining.next()
    ) {
      ended += waiter.value.records.length;
      if (waiter.value.note !== null) notes.push(waiter.value.note);
    }
    return notes.length === 0 ? null : Buffer.concat(notes);
  });
}

/** Tells each waiter where its records are. `firsts`: of each batch, the position of its first record. */
export function answerWaiters(
  waiters: readonly Waiter[],
  batches: readonly RecordBatch[],
  firsts: readonly Position[],
): void {
  let [batch, taken] = [0, 0];
  for (const waiter of waiters) {
    const runs: PositionRun[] = [];
    for (let left = waiter.records.length; left > 0;) {
      const count = Math.min(left, (batches[batch]?.records.length ?? 0) - taken);
      if (count > 0) runs.push({ first: behind(firsts[batch], taken), count });
      left -= count;
      taken += count;
      if (left > 0) [batch, taken] = [batch + 1, 0];
    }
    waiter.resolve(new AppendedPositions(runs));
  }
}

/** Records that follow each other in one block. */
export interface PositionRun {
  readonly first: Position;
  readonly count: number;
}

/** Where the records of one append are, in their order. Made when they are asked for: most writers never ask. */
export class AppendedPositions implements Iterable<Position> {
  readonly runs: readonly PositionRun[];

  constructor(runs: readonly PositionRun[]) {
    this.runs = runs;
  }

  *[Symbol.iterator](): Generator<Position> {
    for (const { first, count } of this.runs)
      for (let index = 0; index < count; index += 1) yield behind(first, index);
  }
}

/** The index is what a position ends with. */
function behind(first: Position | undefined, count: number): Position {
  assert(first !== undefined, 'a batch has a first position');
  return (first + BigInt(count)) as Position;
}

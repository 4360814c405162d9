// Records out of stored blocks: from mid-block on, up to a bound, never beyond what was seen.
import { assert } from '../stream/errors.ts';
import { nextPosition, positionParts, toPosition } from '../stream/position.ts';
import type { Position } from '../stream/position.ts';
import type { BlockPage, StoredBlock } from '../stream/ports.ts';
import { recordBytes } from '../stream/record.ts';
import type { TimedRecord } from '../stream/record.ts';

/** A record where it lies. Its position is made when it is asked for: most readers need that of few. */
export class StoredRecord implements TimedRecord {
  readonly partitionKey: string;
  readonly data: Uint8Array;
  readonly monotonicUs: bigint;
  /** Position of the first record of its block. */
  readonly blockFirst: Position;
  /** Its place in the block. */
  readonly index: number;
  readonly arrivalMs: number;

  constructor(record: TimedRecord, stored: StoredBlock, index: number) {
    this.partitionKey = record.partitionKey;
    this.data = record.data;
    this.monotonicUs = record.monotonicUs;
    this.blockFirst = stored.first;
    this.index = index;
    this.arrivalMs = stored.arrivalMs;
  }

  get position(): Position {
    const { epoch, commit } = positionParts(this.blockFirst);
    return toPosition(epoch, commit, this.index);
  }
}

export interface RecordPage {
  readonly records: readonly StoredRecord[];
  readonly next: Position;
  /** Arrival of the first unread record, null at the tip. */
  readonly nextArrivalMs: number | null;
  readonly closedEnd: boolean;
}

type Decode = (stored: StoredBlock, countMax: number) => readonly StoredRecord[];

/** At least one record when any is there, though it be larger than the bound. */
export function takeRecords(
  page: BlockPage,
  max: { readonly records: number; readonly bytes: number },
  decode: Decode,
): RecordPage {
  const records: StoredRecord[] = [];
  let bytes = 0;
  for (const stored of page.blocks) {
    if (records.length >= max.records) return partial(records, stored.arrivalMs);
    for (const record of decode(stored, max.records - records.length)) {
      bytes += recordBytes(record);
      if (records.length > 0 && bytes > max.bytes) return partial(records, stored.arrivalMs);
      records.push(record);
    }
    const last = records.at(-1);
    const isCutShort = records.length >= max.records && last !== undefined && !endsBlock(last, stored);
    if (isCutShort) return partial(records, stored.arrivalMs);
  }
  return { records, next: page.next, nextArrivalMs: page.nextArrivalMs, closedEnd: page.closedEnd };
}

function partial(records: readonly StoredRecord[], nextArrivalMs: number): RecordPage {
  const last = records.at(-1);
  assert(last !== undefined, 'a partial page has records');
  return { records, next: nextPosition(last.position), nextArrivalMs, closedEnd: false };
}

function endsBlock(record: StoredRecord, stored: StoredBlock): boolean {
  return record.index === stored.recordCount - 1;
}

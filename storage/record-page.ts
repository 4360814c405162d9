// Records out of stored blocks: from mid-block on, up to a bound, never beyond what was seen.
import { assert } from '../stream/errors.ts';
import { nextPosition, positionParts, toPosition } from '../stream/position.ts';
import type { Position } from '../stream/position.ts';
import type { BlockPage, StoredBlock } from '../stream/ports.ts';
import { recordBytes } from '../stream/record.ts';
import type { TimedRecord } from '../stream/record.ts';

/** A record where it lies. Its position is made when it is asked for: most readers need that of few. */
export class StoredRecord implements TimedRecord {
  readonly #record: TimedRecord;
  readonly #stored: Pick<StoredBlock, 'first' | 'arrivalMs' | 'streamKey'>;
  /** Its place in the block. */
  readonly index: number;

  constructor(
    record: TimedRecord,
    stored: Pick<StoredBlock, 'first' | 'arrivalMs' | 'streamKey'>,
    index: number,
  ) {
    this.#record = record;
    this.#stored = stored;
    this.index = index;
  }

  get partitionKey(): string {
    return this.#record.partitionKey;
  }

  get data(): Uint8Array {
    return this.#record.data;
  }

  get monotonicUs(): bigint {
    return this.#record.monotonicUs;
  }

  /** Position of the first record of its block. */
  get blockFirst(): Position {
    return this.#stored.first;
  }

  get arrivalMs(): number {
    return this.#stored.arrivalMs;
  }

  /** Number of the key of its stream that sealed it; undefined: none did. */
  get streamKey(): number | undefined {
    return this.#stored.streamKey;
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

/** What a page holds at most; one record is more than nothing, however large it is. */
export interface PageMax {
  readonly records: number;
  readonly bytes: number;
}

type Decode = (stored: StoredBlock, countMax: number) => readonly StoredRecord[];

/** Gathers records of one page after the other, up to a bound; at least one when any is there, though it be larger. */
export class RecordTaker {
  readonly #max: PageMax;
  readonly #decode: Decode;
  readonly #records: StoredRecord[] = [];
  #bytes = 0;
  #end: Omit<RecordPage, 'records'> | null = null;

  constructor(max: PageMax, decode: Decode) {
    this.#max = max;
    this.#decode = decode;
  }

  /** Where to go on; null: it is full, or there is nothing more. */
  add(page: BlockPage): Position | null {
    for (const stored of page.blocks) {
      if (!this.#addBlock(stored)) {
        this.#end = this.#partial(stored.arrivalMs);
        return null;
      }
    }
    this.#end = { next: page.next, nextArrivalMs: page.nextArrivalMs, closedEnd: page.closedEnd };
    return page.nextArrivalMs === null || page.blocks.length === 0 ? null : page.next;
  }

  get page(): RecordPage {
    assert(this.#end !== null, 'a page was read');
    return { records: this.#records, ...this.#end };
  }

  /** False: something of the block is left. */
  #addBlock(stored: StoredBlock): boolean {
    const room = this.#max.records - this.#records.length;
    if (room <= 0) return false;
    for (const record of this.#decode(stored, room)) {
      const bytes = this.#bytes + recordBytes(record);
      if (this.#records.length > 0 && bytes > this.#max.bytes) return false;
      this.#bytes = bytes;
      this.#records.push(record);
    }
    const last = this.#records.at(-1);
    return this.#records.length < this.#max.records || last === undefined || endsBlock(last, stored);
  }

  #partial(nextArrivalMs: number): Omit<RecordPage, 'records'> {
    const last = this.#records.at(-1);
    assert(last !== undefined, 'a partial page has records');
    return { next: nextPosition(last.position), nextArrivalMs, closedEnd: false };
  }
}

function endsBlock(record: StoredRecord, stored: StoredBlock): boolean {
  return record.index === stored.recordCount - 1;
}

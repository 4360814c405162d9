// Records out of a log, from any record on, in pages: as many blocks are read as a page takes.
import { nodeCodecs } from '../runtime/codecs.ts';
import { decodeBlock } from '../stream/block.ts';
import { assert, isTributaryError } from '../stream/errors.ts';
import type { TributaryError } from '../stream/errors.ts';
import { READ_BYTES_MAX, READ_RECORDS_MAX } from '../stream/limits.ts';
import { AFTER_BLOCK_INDEX, afterBlock, positionParts } from '../stream/position.ts';
import type { Position } from '../stream/position.ts';
import type { BlockPage, Digest, ShardLog, ShardRef, StoredBlock } from '../stream/ports.ts';
import { InflatedBodies } from './inflated-bodies.ts';
import { RecordTaker, StoredRecord } from './record-page.ts';
import type { PageMax, RecordPage } from './record-page.ts';
import { nameOf } from './shard-keys.ts';

export interface DamagedBlock {
  readonly ref: ShardRef;
  readonly first: Position;
  readonly recordCount: number;
  readonly error: TributaryError;
}

/** Blocks are read as many as it takes: compressed, they hold far more than their bytes. */
const READ_STEP_BYTES = 256 * 1024;
const DAMAGE_CODES: readonly string[] = ['BLOCK_CHECKSUM', 'BLOCK_MALFORMED', 'BLOCK_TOO_LARGE'];
const DAMAGED_TOLD_MAX = 10_000;

export class RecordReader {
  readonly #log: ShardLog;
  readonly #digest: Digest;
  readonly #onDamaged: ((damaged: DamagedBlock) => void) | undefined;
  readonly #bodies = new InflatedBodies(nodeCodecs);
  /** Places of blocks that were passed over. */
  readonly #damaged = new Set<string>();

  constructor(log: ShardLog, digest: Digest, onDamaged: ((damaged: DamagedBlock) => void) | undefined) {
    this.#log = log;
    this.#digest = digest;
    this.#onDamaged = onDamaged;
  }

  async read(ref: ShardRef, from: Position, max: PageMax): Promise<RecordPage> {
    assert(max.records >= 1, 'a read asks for records');
    const bytes = Math.min(max.bytes, READ_BYTES_MAX);
    const records = Math.min(max.records, READ_RECORDS_MAX);
    const taker = new RecordTaker({ records, bytes }, (stored, countMax) =>
      this.#decode(ref, stored, from, countMax),
    );
    const step = { blocks: records, bytes: Math.min(bytes, READ_STEP_BYTES) };
    for (let next: Position | null = from; next !== null;) {
      next = taker.add(await this.#log.readBlocks(ref, next, step));
    }
    return taker.page;
  }

  /** As `ShardLog.tail`, in pages of records: pages without any only where all were damaged, and at the closed end. */
  async *tail(
    ref: ShardRef,
    from: Position,
    max: PageMax,
    signal: AbortSignal,
  ): AsyncGenerator<RecordPage, void> {
    let next = from;
    for await (const page of this.#log.tail(ref, from, signal)) {
      yield* this.#pagesOf(ref, page, next, max);
      next = page.next;
    }
  }

  /** The records of one page of blocks, in as many pages as it takes. */
  *#pagesOf(ref: ShardRef, page: BlockPage, from: Position, max: PageMax): Generator<RecordPage, void> {
    for (let next = from; ;) {
      const taker = new RecordTaker(max, (stored, countMax) => this.#decode(ref, stored, next, countMax));
      taker.add({ ...page, blocks: page.blocks.filter(({ first }) => afterBlock(first) >= next) });
      const taken = taker.page;
      yield taken;
      if (taken.next === page.next) return;
      next = taken.next;
    }
  }

  /** The records of a stored block at or behind `from`. */
  #decode(ref: ShardRef, stored: StoredBlock, from: Position, countMax: number): StoredRecord[] {
    const fromIndex = from <= stored.first ? 0 : positionParts(from).index;
    if (fromIndex === AFTER_BLOCK_INDEX || fromIndex >= stored.recordCount || countMax === 0) return [];
    // A page that is a part of a block is followed by the next one.
    const isPart = fromIndex > 0 || countMax < stored.recordCount;
    const codecs = isPart ? this.#bodies.codecsAt(`${nameOf(ref)}\0${stored.first}`) : nodeCodecs;
    try {
      const { records } = decodeBlock(stored.block, this.#digest, codecs, fromIndex, countMax);
      return records.map((record, offset) => new StoredRecord(record, stored, fromIndex + offset));
    } catch (error) {
      if (!isTributaryError(error) || !DAMAGE_CODES.includes(error.code)) throw error;
      this.#passOver(ref, stored, error);
      return [];
    }
  }

  /** Told once: readers come by again and again. */
  #passOver(ref: ShardRef, { first, recordCount }: StoredBlock, error: TributaryError): void {
    const place = `${nameOf(ref)}\0${first}`;
    if (this.#damaged.has(place) || this.#damaged.size >= DAMAGED_TOLD_MAX) return;
    this.#damaged.add(place);
    this.#onDamaged?.({ ref, first, recordCount, error });
  }
}

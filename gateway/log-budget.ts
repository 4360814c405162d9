// Keeps the log under its byte cap: what the server has goes first, then bulk, normal and alarm, the oldest first.
// What the server never had is counted, and the uplink tells the server of the gap.
import type { Clock, Log, MetaChange, Store } from '../stream/ports.ts';
import { RECORD_CLASSES } from '../stream/record.ts';
import type { RecordInput } from '../stream/record.ts';
import { parseHeader } from '../stream/block-header.ts';
import { afterBlock, nextPosition } from '../stream/position.ts';
import type { LocalLane } from './local-lane.ts';

export interface LogBudgetOptions {
  /** Size of the log's file that is not exceeded. */
  readonly capBytes: number;
  /** What the server has is kept this long, in case it loses it. */
  readonly acknowledgedRetentionMs: number;
}

/** The engine needs free pages to write new ones before it frees the old: live data stay below this share. */
const LIVE_SHARE_MAX = 0.85;
/** Evicting goes down to this share, so that it is rare. */
const LIVE_SHARE_AFTER = 0.8;
/** The size is looked at after this share of the cap was appended. */
const CHECK_SHARE = 0.01;
const TRIM_INTERVAL_MS = 60_000;
const CHUNK = { blocks: 64, bytes: 1024 * 1024 };

export interface LogBudgetParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

export class LogBudget {
  readonly #parts: LogBudgetParts;
  readonly #lanes: () => readonly LocalLane[];
  readonly #options: LogBudgetOptions;
  #unchecked = 0;
  #working: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(parts: LogBudgetParts, lanes: () => readonly LocalLane[], options: LogBudgetOptions) {
    this.#parts = parts;
    this.#lanes = lanes;
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#work(() => this.#trimAcknowledged()), TRIM_INTERVAL_MS).unref();
    this.#work(() => this.#enforce());
  }

  appended(records: readonly RecordInput[]): void {
    for (const { data, partitionKey } of records) this.#unchecked += data.length + partitionKey.length;
    // Each append makes a page or two dirty whatever it holds.
    this.#unchecked += 256;
    if (this.#unchecked > this.#options.capBytes * CHECK_SHARE) this.#work(() => this.#enforce());
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** One at a time; a failure is the disk's and is seen by the next append. */
  #work(task: () => Promise<void>): void {
    if (this.#working !== null) return;
    this.#working = task()
      .catch((error: unknown) => this.#parts.log.warn('log cannot be trimmed', { error }))
      .finally(() => {
        this.#working = null;
      });
  }

  async #enforce(): Promise<void> {
    this.#unchecked = 0;
    const { capBytes } = this.#options;
    const { liveBytes } = this.#parts.store.usage();
    if (liveBytes <= capBytes * LIVE_SHARE_MAX) return;
    const changes: MetaChange[] = [];
    let excessBytes = liveBytes - capBytes * LIVE_SHARE_AFTER;
    for (const isDue of [this.#isAcknowledged, ...RECORD_CLASSES.toReversed().map(isOfClass)]) {
      while (excessBytes > 0) {
        const bytes = await this.#dropOldest(isDue, changes);
        if (bytes === 0) break;
        excessBytes -= bytes;
      }
    }
    if (changes.length > 0) this.#parts.log.error('records evicted', { capBytes, liveBytes });
    // One commit for all of it: until then the pages are not free.
    for (const { key, value } of changes.slice(0, -1)) this.#parts.store.meta.putLazy(key, value);
    const last = changes.at(-1) ?? { key: 'log/trimmed', value: Buffer.from('1') };
    await this.#parts.store.meta.put(last.key, last.value ?? Buffer.alloc(0), 'any');
  }

  /** Drops some of the oldest blocks for which `isDue`; answers their bytes, 0 when there are none. */
  async #dropOldest(
    isDue: (lane: LocalLane, lastOrdinal: bigint) => boolean,
    changes: MetaChange[],
  ): Promise<number> {
    const { log } = this.#parts.store;
    let oldest: { lane: LocalLane; arrivalMs: number } | null = null;
    for (const lane of this.#lanes()) {
      const head = await this.#head(lane, { blocks: 1, bytes: 1 });
      const block = head[0];
      if (block === undefined || !isDue(lane, block.lastOrdinal)) continue;
      if (oldest === null || block.arrivalMs < oldest.arrivalMs)
        oldest = { lane, arrivalMs: block.arrivalMs };
    }
    if (oldest === null) return 0;
    const { lane } = oldest;
    const due = (await this.#head(lane, CHUNK)).filter((block) => isDue(lane, block.lastOrdinal));
    const newest = due.at(-1);
    if (newest === undefined) return 0;
    const { bytes } = await log.trim(lane.ref, nextPosition(afterBlock(newest.first)));
    changes.push(...lane.dropped(newest.lastOrdinal + 1n));
    return bytes;
  }

  async #head(lane: LocalLane, max: { blocks: number; bytes: number }): Promise<HeadBlock[]> {
    const { log } = this.#parts.store;
    const from = await log.seekOrdinal(lane.ref, lane.firstKept);
    const { blocks } = await log.readBlocks(lane.ref, from, max);
    return blocks.map(({ block, first, arrivalMs }) => {
      const header = parseHeader(block);
      return { first, arrivalMs, lastOrdinal: header.firstOrdinal + BigInt(header.recordCount) - 1n };
    });
  }

  readonly #isAcknowledged = (lane: LocalLane, lastOrdinal: bigint): boolean =>
    !lane.forward || lastOrdinal <= lane.acknowledged;

  /** Rides in the next commit. */
  async #trimAcknowledged(): Promise<void> {
    const { store, clock } = this.#parts;
    const olderMs = clock.wallMs() - this.#options.acknowledgedRetentionMs;
    for (const lane of this.#lanes().filter((candidate) => candidate.forward)) {
      for (;;) {
        const head = await this.#head(lane, CHUNK);
        const due = head.filter(
          ({ arrivalMs, lastOrdinal }) => arrivalMs < olderMs && lastOrdinal <= lane.acknowledged,
        );
        const newest = due.at(-1);
        if (newest === undefined) break;
        await store.log.trim(lane.ref, nextPosition(afterBlock(newest.first)));
        lane.dropped(newest.lastOrdinal + 1n);
      }
    }
  }
}

interface HeadBlock {
  readonly first: Parameters<typeof afterBlock>[0];
  readonly arrivalMs: number;
  readonly lastOrdinal: bigint;
}

function isOfClass(recordClass: string): (lane: LocalLane) => boolean {
  return (lane) => lane.class === recordClass;
}

// Keeps the log under its byte cap: what the server has goes first, then bulk, normal and alarm, the oldest first.
// What the server never had is counted, and the uplink tells the server of the gap.
import { setImmediate } from 'node:timers/promises';
import type { Clock, Log, MetaChange, Store } from '../stream/ports.ts';
import { RECORD_CLASSES } from '../stream/record.ts';
import type { RecordInput } from '../stream/record.ts';
import { cutByBytes, headOf, lastBefore } from './lane-cut.ts';
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
/** What goes in one commit, so that nothing else waits for long. */
const ROUND_SHARE = 0.02;
const ROUNDS_MAX = 100;
const TRIM_INTERVAL_MS = 60_000;

export interface LogBudgetParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** The last ordinal of a lane that may go now; 0 for none. */
type Due = (lane: LocalLane) => bigint;

export class LogBudget {
  readonly #parts: LogBudgetParts;
  readonly #lanes: () => readonly LocalLane[];
  readonly #options: LogBudgetOptions;
  /** Arrival of each lane's oldest block, as long as that is the oldest. */
  readonly #heads = new WeakMap<LocalLane, { readonly first: bigint; readonly arrivalMs: number }>();
  #unchecked = 0;
  #working: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

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

  /** The disk is full below the cap: what the server has makes room for what comes. */
  diskFull(): void {
    this.#work(async () => {
      await this.#dropRound(this.#options.capBytes * ROUND_SHARE, [acknowledgedOf]);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#working;
  }

  /** One at a time; a failure is the disk's and is seen by the next append. */
  #work(task: () => Promise<void>): void {
    if (this.#working !== null || this.#isClosed) return;
    this.#working = task()
      .catch((error: unknown) => this.#parts.log.warn('log cannot be trimmed', { error }))
      .finally(() => {
        this.#working = null;
      });
  }

  async #enforce(): Promise<void> {
    this.#unchecked = 0;
    if (this.#excessBytes(LIVE_SHARE_MAX) <= 0) return;
    const categories: Due[] = [acknowledgedOf, ...RECORD_CLASSES.toReversed().map(everythingOf)];
    for (let round = 0; round < ROUNDS_MAX && !this.#isClosed; round += 1) {
      const excessBytes = this.#excessBytes(LIVE_SHARE_AFTER);
      if (excessBytes <= 0) return;
      const bytes = Math.min(excessBytes, this.#options.capBytes * ROUND_SHARE);
      if (!(await this.#dropRound(bytes, categories))) return;
      await setImmediate();
    }
  }

  /** A file that has outgrown the cap has pages enough, but not where they are needed: more of them must be free. */
  #excessBytes(share: number): number {
    const { capBytes } = this.#options;
    const { liveBytes, fileBytes } = this.#parts.store.usage();
    return liveBytes - capBytes * share * Math.min(1, capBytes / fileBytes);
  }

  /** Drops up to `bytes` of the first category that has something, in a commit of its own. False: nothing is left. */
  async #dropRound(bytes: number, categories: readonly Due[]): Promise<boolean> {
    for (const due of categories) {
      const lane = await this.#oldest(due);
      if (lane === null) continue;
      const { log, meta } = this.#parts.store;
      const cut = await cutByBytes(lane, log, bytes, due(lane));
      if (cut === null) continue;
      const changes = await this.#drop(lane, cut.lastOrdinal);
      // The commit that frees the pages; the count of what was lost is in it.
      const { key, value } = changes[0] ?? { key: 'log/trimmed', value: null };
      await meta.put(key, value ?? Buffer.from('1'), 'any');
      return true;
    }
    return false;
  }

  async #drop(lane: LocalLane, lastOrdinal: bigint): Promise<readonly MetaChange[]> {
    const { log } = this.#parts.store;
    await log.trim(lane.ref, await log.seekOrdinal(lane.ref, lastOrdinal + 1n));
    const before = lane.evictedRecords;
    const changes = lane.dropped(lastOrdinal + 1n);
    if (changes.length > 0) {
      const { stream, class: recordClass } = lane;
      const records = lane.evictedRecords - before;
      this.#parts.log.error('records evicted before they were sent', { stream, class: recordClass, records });
    }
    return changes;
  }

  /** The lane whose oldest block is the oldest of those that may go. */
  async #oldest(due: Due): Promise<LocalLane | null> {
    let oldest: { lane: LocalLane; arrivalMs: number } | null = null;
    for (const lane of this.#lanes()) {
      if (due(lane) < lane.firstKept) continue;
      const arrivalMs = await this.#headArrival(lane);
      if (arrivalMs !== null && (oldest === null || arrivalMs < oldest.arrivalMs))
        oldest = { lane, arrivalMs };
    }
    return oldest?.lane ?? null;
  }

  async #headArrival(lane: LocalLane): Promise<number | null> {
    const known = this.#heads.get(lane);
    if (known?.first === lane.firstKept) return known.arrivalMs;
    const head = await headOf(lane, this.#parts.store.log);
    if (head === null) return null;
    this.#heads.set(lane, { first: lane.firstKept, arrivalMs: head.arrivalMs });
    return head.arrivalMs;
  }

  /** Rides in the next commit. */
  async #trimAcknowledged(): Promise<void> {
    const { store, clock } = this.#parts;
    const olderMs = clock.wallMs() - this.#options.acknowledgedRetentionMs;
    for (const lane of this.#lanes().filter((candidate) => candidate.forward)) {
      const old = await lastBefore(lane, store.log, olderMs);
      const last = old < lane.acknowledged ? old : lane.acknowledged;
      if (last < lane.firstKept) continue;
      // Whole blocks only: the one that holds `last` may hold more.
      const cut = await cutByBytes(lane, store.log, Infinity, last);
      if (cut !== null) await this.#drop(lane, cut.lastOrdinal);
    }
  }
}

/** What the server has, and what is never sent. */
function acknowledgedOf(lane: LocalLane): bigint {
  return lane.forward ? lane.acknowledged : lane.history.last;
}

function everythingOf(recordClass: string): Due {
  return (lane) => (lane.class === recordClass ? lane.history.last : 0n);
}

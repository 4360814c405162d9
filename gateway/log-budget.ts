// Keeps the log under its byte cap, and no longer than it is told to. What the server has goes first; what goes then, or
// whether new records are refused instead, is the operator's choice. What the server never had is counted, and the uplink
// tells the server of the gap.
import { setImmediate } from 'node:timers/promises';
import { TributaryError } from '../stream/errors.ts';
import type { Clock, Log, Store } from '../stream/ports.ts';
import { RECORD_CLASSES } from '../stream/record.ts';
import type { RecordInput } from '../stream/record.ts';
import { cutByBytes, headOf, lastBefore } from './lane-cut.ts';
import type { LocalLane } from './local-lane.ts';

/** What goes when the log is full of records the server does not have. */
export const FULL_POLICIES = ['drop-oldest-of-lowest-class', 'drop-oldest', 'reject'] as const;
export type FullPolicy = (typeof FULL_POLICIES)[number];

export interface LogBudgetOptions {
  /** Size of the log's file that is not exceeded. */
  readonly capBytes: number;
  readonly whenFull: FullPolicy;
  /** Records older than this go, sent or not; null: age alone is no reason. */
  readonly retentionMs: number | null;
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
const ROOM_MADE_KEY = 'log/room-made';
const TRIM_INTERVAL_MS = 60_000;

export interface LogBudgetParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** Between looks at a full log that refuses records: they come as often as records do. */
const RECHECK_MS = 1_000;

/** The last ordinal of a lane that may go now; 0 for none. */
type Due = (lane: LocalLane) => bigint;

export class LogBudget {
  readonly #parts: LogBudgetParts;
  readonly #lanes: () => readonly LocalLane[];
  readonly #options: LogBudgetOptions;
  /** Arrival of each lane's oldest block, as long as that is the oldest. */
  readonly #heads = new WeakMap<LocalLane, { readonly first: bigint; readonly arrivalMs: number }>();
  readonly #categories: readonly Due[];
  #unchecked = 0;
  #isFull = false;
  #checkedMs = -Infinity;
  #working: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(parts: LogBudgetParts, lanes: () => readonly LocalLane[], options: LogBudgetOptions) {
    this.#parts = parts;
    this.#lanes = lanes;
    this.#options = options;
    this.#categories = categoriesOf(options.whenFull);
  }

  start(): void {
    this.#timer = setInterval(() => this.#work(() => this.#trimOld()), TRIM_INTERVAL_MS).unref();
    this.#work(() => this.#enforce());
  }

  /** Throws STORAGE_FULL while nothing may go that would make room for new records. */
  requireRoom(): void {
    if (!this.#isFull) return;
    this.#recheck();
    const text = `the log has reached its ${this.#options.capBytes} bytes and keeps what the server does not have (log.whenFull: ${this.#options.whenFull}); try again when the server has taken records, or raise log.capBytes`;
    throw new TributaryError('STORAGE_FULL', text, { details: { limit: 'cap' } });
  }

  appended(records: readonly RecordInput[]): void {
    for (const { data, partitionKey } of records) this.#unchecked += data.length + partitionKey.length;
    // Each append makes a page or two dirty whatever it holds.
    this.#unchecked += 256;
    if (this.#unchecked > this.#options.capBytes * CHECK_SHARE) this.#work(() => this.#enforce());
  }

  /**
   * A commit found no room. Answers whether room was made by the policy. On a disk that is full below the cap only what
   * the server has goes, and where an old reader holds the pages, nothing: it would be lost for no room.
   */
  async makeRoom(error: TributaryError): Promise<boolean> {
    const { limit } = error.details;
    if (limit === 'reader' || this.#isClosed) return false;
    const categories = limit === 'cap' ? this.#categories : [acknowledgedOf];
    while (this.#working !== null) await this.#working;
    const making = this.#makeRoom(categories);
    this.#work(async () => void (await making));
    return making.catch(() => false);
  }

  /** In a commit of its own: the next one finds no room without it. */
  async #makeRoom(categories: readonly Due[]): Promise<boolean> {
    if ((await this.#dropRound(this.#options.capBytes * ROUND_SHARE, categories)) === 0) return false;
    await this.#parts.store.meta.put(ROOM_MADE_KEY, Buffer.from('1'), 'any');
    return true;
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

  /** What goes rides in the next commits: one of its own would cost the card more than most appends do. */
  async #enforce(): Promise<void> {
    this.#unchecked = 0;
    this.#isFull = false;
    if (this.#excessBytes(LIVE_SHARE_MAX) <= 0) return;
    const excessBytes = this.#excessBytes(LIVE_SHARE_AFTER);
    let droppedBytes = 0;
    while (droppedBytes < excessBytes && !this.#isClosed) {
      const bytes = await this.#dropRound(this.#options.capBytes * ROUND_SHARE, this.#categories);
      if (bytes === 0) {
        this.#isFull = this.#excessBytes(LIVE_SHARE_MAX) - droppedBytes > 0;
        return;
      }
      droppedBytes += bytes;
      await setImmediate();
    }
  }

  #recheck(): void {
    const nowMs = Number(this.#parts.clock.monotonicUs()) / 1_000;
    if (nowMs - this.#checkedMs < RECHECK_MS) return;
    this.#checkedMs = nowMs;
    this.#work(() => this.#enforce());
  }

  /** A file that has outgrown the cap has pages enough, but not where they are needed: more of them must be free. */
  #excessBytes(share: number): number {
    const { capBytes } = this.#options;
    const { liveBytes, fileBytes } = this.#parts.store.usage();
    return liveBytes - capBytes * share * Math.min(1, capBytes / fileBytes);
  }

  /** Drops up to `bytesMax` of the first category that has something. Answers how much; 0: nothing is left. */
  async #dropRound(bytesMax: number, categories: readonly Due[]): Promise<number> {
    for (const due of categories) {
      const lane = await this.#oldest(due);
      const cut = lane === null ? null : await cutByBytes(lane, this.#parts.store.log, bytesMax, due(lane));
      if (lane === null || cut === null) continue;
      await this.#drop(lane, cut.lastOrdinal);
      return cut.bytes;
    }
    return 0;
  }

  /** Rides in the next commit, with the count of what the server never had. */
  async #drop(lane: LocalLane, lastOrdinal: bigint): Promise<void> {
    const { log } = this.#parts.store;
    const position = await log.seekOrdinal(lane.ref, lastOrdinal + 1n);
    const before = lane.evictedRecords;
    await log.trim(lane.ref, position, lane.dropped(lastOrdinal + 1n));
    const records = lane.evictedRecords - before;
    const { stream, class: recordClass } = lane;
    if (records > 0)
      this.#parts.log.error('records evicted before they were sent', { stream, class: recordClass, records });
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
  async #trimOld(): Promise<void> {
    const { acknowledgedRetentionMs, retentionMs } = this.#options;
    for (const lane of this.#lanes()) {
      if (lane.forward) await this.#trimBefore(lane, acknowledgedRetentionMs, lane.acknowledged);
      if (retentionMs !== null) await this.#trimBefore(lane, retentionMs, lane.history.last);
    }
  }

  async #trimBefore(lane: LocalLane, ageMs: number, lastMax: bigint): Promise<void> {
    const { store } = this.#parts;
    const old = await lastBefore(lane, store.log, store.nowMs() - ageMs);
    const last = old < lastMax ? old : lastMax;
    if (last < lane.firstKept) return;
    // Whole blocks only: the one that holds `last` may hold more.
    const cut = await cutByBytes(lane, store.log, Infinity, last);
    if (cut !== null) await this.#drop(lane, cut.lastOrdinal);
  }
}

/** What the server has, and what is never sent. */
function acknowledgedOf(lane: LocalLane): bigint {
  return lane.forward ? lane.acknowledged : lane.history.last;
}

/** In this order. */
function categoriesOf(policy: FullPolicy): readonly Due[] {
  switch (policy) {
    case 'reject':
      return [acknowledgedOf];
    case 'drop-oldest':
      return [acknowledgedOf, (lane) => lane.history.last];
    case 'drop-oldest-of-lowest-class':
      return [acknowledgedOf, ...RECORD_CLASSES.toReversed().map(everythingOf)];
  }
}

function everythingOf(recordClass: string): Due {
  return (lane) => (lane.class === recordClass ? lane.history.last : 0n);
}

// What the gateway knows of the time: for each boot one moment whose wall time is known, from the network or the server.
// Blocks that were written before anybody knew are dated by it later; see stream/event-time.ts.
import type { Clock, Log, Meta } from '../stream/ports.ts';
import { isBetter } from '../stream/event-time.ts';
import type { ClockAnchor } from '../stream/event-time.ts';
import type { ClockSyncState } from '../stream/record.ts';

export interface ClockAnchorsParts {
  readonly meta: Meta;
  readonly clock: Clock;
  readonly log: Log;
  readonly bootId: Uint8Array;
  /** Whether the machine's clock is set from the network. */
  readonly isSynchronized: () => boolean;
}

export const ANCHOR_PREFIX = 'anchor/';
const CHECK_INTERVAL_MS = 10_000;
/** The clock was set by more than this: what is dated by the anchor of before would be off. */
const STEP_MS_MIN = 500;
/** A clock that far from the server's is not taken for right. */
const AGREEMENT_MS = 2_000;
/** Boots of which an anchor is kept: far more than a full log spans. */
const BOOTS_MAX = 1_024;

export class ClockAnchors {
  readonly #parts: ClockAnchorsParts;
  readonly #key: string;
  #anchor: ClockAnchor | null;
  /** As of the last look: it is asked for with every block. */
  #isSynchronized = false;
  #timer: NodeJS.Timeout | null = null;

  private constructor(parts: ClockAnchorsParts, key: string, anchor: ClockAnchor | null) {
    this.#parts = parts;
    this.#key = key;
    this.#anchor = anchor;
  }

  /** Reads what earlier runs of this boot knew, and forgets the oldest boots. */
  static async open(parts: ClockAnchorsParts): Promise<ClockAnchors> {
    const key = ANCHOR_PREFIX + Buffer.from(parts.bootId).toString('hex');
    const known: { key: string; anchor: ClockAnchor }[] = [];
    for await (const entry of parts.meta.list(ANCHOR_PREFIX))
      known.push({ key: entry.key, anchor: decodeAnchor(entry.value) });
    const newest = known.toSorted((a, b) => b.anchor.wallMs - a.anchor.wallMs);
    for (const old of newest.slice(BOOTS_MAX)) parts.meta.putLazy(old.key, null);
    const own = known.find((one) => one.key === key)?.anchor ?? null;
    const anchors = new ClockAnchors(parts, key, own);
    anchors.#check();
    anchors.#timer = setInterval(() => anchors.#check(), CHECK_INTERVAL_MS).unref();
    return anchors;
  }

  get anchor(): ClockAnchor | null {
    return this.#anchor;
  }

  /** How far the wall clock can be trusted now. */
  get state(): ClockSyncState {
    if (this.#isSynchronized) return 'ntp';
    if (this.#anchor === null) return 'unknown';
    return Math.abs(this.#aheadMs(this.#anchor)) <= AGREEMENT_MS ? 'estimated' : 'unknown';
  }

  /** The server has just said what time it is. */
  heard(wallMs: number): void {
    if (this.#anchor !== null && isBetter(this.#anchor.state, 'estimated')) return;
    this.#set({ monotonicUs: this.#parts.clock.monotonicUs(), wallMs, state: 'estimated' });
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #check(): void {
    const { clock, isSynchronized } = this.#parts;
    this.#isSynchronized = isSynchronized();
    if (!this.#isSynchronized) return;
    const isNew =
      this.#anchor === null ||
      isBetter('ntp', this.#anchor.state) ||
      Math.abs(this.#aheadMs(this.#anchor)) > STEP_MS_MIN;
    if (isNew) this.#set({ monotonicUs: clock.monotonicUs(), wallMs: clock.wallMs(), state: 'ntp' });
  }

  /** How far the wall clock is ahead of what the anchor says. */
  #aheadMs(anchor: ClockAnchor): number {
    const { clock } = this.#parts;
    return clock.wallMs() - anchor.wallMs - Number(clock.monotonicUs() - anchor.monotonicUs) / 1_000;
  }

  /** Rides in the next commit: a lost one is made again. */
  #set(anchor: ClockAnchor): void {
    const { meta, log } = this.#parts;
    const aheadMs = Math.round(this.#aheadMs(anchor));
    if (this.#anchor === null || Math.abs(aheadMs) > STEP_MS_MIN)
      log.info('time of this boot is known', { from: anchor.state, localMinusTrueMs: aheadMs });
    this.#anchor = anchor;
    meta.putLazy(this.#key, encodeAnchor(anchor));
  }
}

function encodeAnchor({ monotonicUs, wallMs, state }: ClockAnchor): Uint8Array {
  return Buffer.from(JSON.stringify({ monotonicUs: monotonicUs.toString(), wallMs, state }));
}

/** Rows come from our own disk only. */
export function decodeAnchor(value: Uint8Array): ClockAnchor {
  const stored = JSON.parse(Buffer.from(value).toString()) as {
    monotonicUs: string;
    wallMs: number;
    state: ClockSyncState;
  };
  return { ...stored, monotonicUs: BigInt(stored.monotonicUs) };
}

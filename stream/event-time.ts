// When a record was taken in. Blocks keep the wall clock as it was then known, beside a monotonic clock that never jumps:
// once the time of the same boot is known, every record of it is dated by that, and no block is rewritten.
import type { BlockHeader } from './block-header.ts';
import { CLOCK_SYNC_STATES } from './record.ts';
import type { ClockSyncState } from './record.ts';

/** A moment of a boot whose wall time is known. */
export interface ClockAnchor {
  /** Microseconds of the boot. */
  readonly monotonicUs: bigint;
  /** Milliseconds since 1970-01-01T00:00:00Z at that moment. */
  readonly wallMs: number;
  /** How far it can be trusted. */
  readonly state: ClockSyncState;
}

export interface EventTime {
  readonly ms: number;
  readonly state: ClockSyncState;
}

/** `anchor`: the best known one of the block's boot. The more trusted of both dates the record; the block's own at a tie. */
export function eventTime(
  block: Pick<BlockHeader, 'monotonicBaseUs' | 'wallBaseMs' | 'clockSync'>,
  monotonicUs: bigint,
  anchor?: ClockAnchor,
): EventTime {
  const own = { monotonicUs: block.monotonicBaseUs, wallMs: block.wallBaseMs, state: block.clockSync };
  const best = anchor !== undefined && isBetter(anchor.state, own.state) ? anchor : own;
  return { ms: best.wallMs + Number(monotonicUs - best.monotonicUs) / 1_000, state: best.state };
}

export function isBetter(state: ClockSyncState, than: ClockSyncState): boolean {
  return CLOCK_SYNC_STATES.indexOf(state) > CLOCK_SYNC_STATES.indexOf(than);
}

// Changes of a stream that are allowed so many times in any 24 hours: kept in its row, so that a restart forgets none.
import { kinesisError } from './errors.ts';
import type { DailyChange, StreamRow } from './stream-row.ts';

/** Kinesis API: each operation's own page. */
const DAILY_LIMITS: Readonly<Record<DailyChange, number>> = {
  StartStreamEncryption: 25,
  StopStreamEncryption: 25,
  UpdateShardCount: 10,
  UpdateStreamMode: 2,
};

const DAY_MS = 24 * 3_600_000;

/** Throws LimitExceededException when the change was made as often as it may be. */
export function checkDaily(row: StreamRow, change: DailyChange, nowMs: number): void {
  const limit = DAILY_LIMITS[change];
  if (recent(row, change, nowMs).length < limit) return;
  throw kinesisError(
    'LimitExceededException',
    `${change} was called ${limit} times for stream ${row.name} within 24 hours, as often as it may be.`,
  );
}

export function noteDaily(row: StreamRow, change: DailyChange, nowMs: number): StreamRow {
  return { ...row, changedAtMs: { ...row.changedAtMs, [change]: [...recent(row, change, nowMs), nowMs] } };
}

function recent(row: StreamRow, change: DailyChange, nowMs: number): number[] {
  // A clock that was ahead for a while must not lock its owner out for longer than a day.
  return (row.changedAtMs?.[change] ?? []).filter((atMs) => Math.abs(nowMs - atMs) < DAY_MS);
}

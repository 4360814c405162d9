// The bounds of a stream's retention, and the row with another one (Kinesis API, IncreaseStreamRetentionPeriod).
import type { StreamInput } from './account.ts';
import { kinesisError } from './errors.ts';
import { horizonMs } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

interface Change {
  readonly hours: number;
  readonly way: 'increase' | 'decrease';
  readonly nowMs: number;
}

export interface RetentionInput extends StreamInput {
  readonly RetentionPeriodHours: number;
}

export const RETENTION_HOURS_MIN = 24;
const RETENTION_HOURS_MAX = 8_760;

/** Throws InvalidArgumentException outside the bounds. */
export function checkRetention(hours: number): void {
  if (hours < RETENTION_HOURS_MIN)
    throw kinesisError(
      'InvalidArgumentException',
      `Minimum allowed retention period is ${RETENTION_HOURS_MIN} hours. Requested retention period (${hours} hours) is too short.`,
    );
  if (hours > RETENTION_HOURS_MAX)
    throw kinesisError(
      'InvalidArgumentException',
      `Maximum allowed retention period is ${RETENTION_HOURS_MAX} hours. Requested retention period (${hours} hours) is too long.`,
    );
}

/** The same row for the same retention. Throws InvalidArgumentException when it goes the other way. */
export function withRetention(row: StreamRow, { hours, way, nowMs }: Change): StreamRow {
  if (hours === row.retentionHours) return row;
  if (hours > row.retentionHours === (way === 'increase')) {
    const expired = way === 'increase' ? { expiredBeforeMs: horizonMs(row, nowMs) } : {};
    return { ...row, ...expired, retentionHours: hours, isRetentionPending: true };
  }
  const [relation, other] = way === 'increase' ? ['shorter', 'Decrease'] : ['longer', 'Increase'];
  const text = `Requested retention period (${hours} hours) for stream ${row.name} can not be ${relation} than existing retention period (${row.retentionHours} hours). Use ${other}RetentionPeriod API.`;
  throw kinesisError('InvalidArgumentException', text);
}

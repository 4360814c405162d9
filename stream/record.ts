// What a record is, before it has a place in a log.

/** Order in which classes are sent and the reverse order in which they are evicted. */
export const RECORD_CLASSES = ['alarm', 'normal', 'bulk'] as const;
export type RecordClass = (typeof RECORD_CLASSES)[number];

/** How far the wall clock could be trusted when a block was written. */
export const CLOCK_SYNC_STATES = ['unknown', 'estimated', 'ntp', 'gnss'] as const;
export type ClockSyncState = (typeof CLOCK_SYNC_STATES)[number];

export interface RecordInput {
  /** 1..256 characters. */
  readonly partitionKey: string;
  readonly data: Uint8Array;
}

/** A record with the moment it was taken in, on the monotonic clock of the boot (microseconds). */
export interface TimedRecord extends RecordInput {
  readonly monotonicUs: bigint;
}

export function recordBytes(record: RecordInput): number {
  return record.data.length + record.partitionKey.length;
}

// Blocks and records for tests, the same for the same arguments.
import { encodeBlock } from '../stream/block.ts';
import type { BlockFrame } from '../stream/block.ts';
import type { TimedRecord } from '../stream/record.ts';
import { nodeDigest } from '../runtime/digest.ts';

export const FRAME: BlockFrame = {
  class: 'normal',
  firstOrdinal: 1n,
  blockId: Uint8Array.from({ length: 16 }, (_, index) => index),
  bootId: Uint8Array.from({ length: 16 }, (_, index) => 0xf0 + index),
  monotonicBaseUs: 1_000_000n,
  wallBaseMs: 1_767_225_600_000,
  clockSync: 'ntp',
};

export function record(partitionKey: string, text: string, monotonicUs = 1_000_000n): TimedRecord {
  return { partitionKey, data: new TextEncoder().encode(text), monotonicUs };
}

export function numberedRecords(count: number, name = 'reading'): TimedRecord[] {
  return Array.from({ length: count }, (_, index) =>
    record(`device-${index % 3}`, `${name} ${index}`, 1_000_000n + BigInt(index * 250)),
  );
}

export function blockOf(records: readonly TimedRecord[], frame: Partial<BlockFrame> = {}): Uint8Array {
  return encodeBlock({ ...FRAME, ...frame }, records, nodeDigest);
}

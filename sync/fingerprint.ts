// By what both sides know a record again without sending it.
import type { Digest } from '../stream/ports.ts';
import type { RecordInput } from '../stream/record.ts';

export function fingerprintOf(record: RecordInput, digest: Digest): number {
  return digest.crc32(record.data, digest.crc32(new TextEncoder().encode(record.partitionKey)));
}

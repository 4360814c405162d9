// What the server remembers of a lane beside its last ordinal: which runs wrote it, and the last record's fingerprint.
import { assert } from '../stream/errors.ts';
import type { LaneRun } from '../stream/lane.ts';
import { LANE_TAG_BYTES_MAX } from '../stream/limits.ts';
import type { Digest } from '../stream/ports.ts';
import type { RecordInput } from '../stream/record.ts';

export interface LaneTag {
  readonly runs: readonly LaneRun[];
  /** CRC-32 of the last record's key and data; null: unknown. */
  readonly fingerprint: number | null;
}

export const EMPTY_TAG: LaneTag = { runs: [], fingerprint: null };

const VERSION = 1;
const HEAD_BYTES = 6;
const RUN_BYTES = 16;

/** u8 version, u8 has fingerprint, u32 fingerprint, then per run 8 bytes of id and the u64 first ordinal. */
export function encodeLaneTag(tag: LaneTag): Uint8Array {
  const bytes = Buffer.alloc(HEAD_BYTES + RUN_BYTES * tag.runs.length);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt8(tag.fingerprint === null ? 0 : 1, 1);
  bytes.writeUInt32BE(tag.fingerprint ?? 0, 2);
  for (const [index, { run, firstOrdinal }] of tag.runs.entries()) {
    const at = HEAD_BYTES + RUN_BYTES * index;
    bytes.write(run, at, 'hex');
    bytes.writeBigUInt64BE(firstOrdinal, at + 8);
  }
  assert(bytes.length <= LANE_TAG_BYTES_MAX, 'a lane tag is bounded');
  return bytes;
}

/** Reads what encodeLaneTag wrote; tags come from our own disk only. */
export function decodeLaneTag(tag: Uint8Array): LaneTag {
  const bytes = Buffer.from(tag.buffer, tag.byteOffset, tag.byteLength);
  assert(bytes.length >= HEAD_BYTES && bytes[0] === VERSION, 'a lane tag has version 1');
  const runs: LaneRun[] = [];
  for (let at = HEAD_BYTES; at + RUN_BYTES <= bytes.length; at += RUN_BYTES) {
    runs.push({ run: bytes.toString('hex', at, at + 8), firstOrdinal: bytes.readBigUInt64BE(at + 8) });
  }
  return { runs, fingerprint: bytes[1] === 1 ? bytes.readUInt32BE(2) : null };
}

export function fingerprintOf(record: RecordInput, digest: Digest): number {
  return digest.crc32(record.data, digest.crc32(new TextEncoder().encode(record.partitionKey)));
}

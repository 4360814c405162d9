// A shard's row as it was when the shard was made, kept a second time among the rows of the system: when the page with the
// rows is lost, it still says whose the blocks of a number are.
import { encodeShardRow } from './shard-row.ts';
import type { ShardRow } from './shard-row.ts';

const PREFIX = 'shard/';
const LANE_PREFIX = Buffer.from('lane-of/');
const KEY_LENGTH_BYTES = 2;

export function birthKey(no: number): Buffer {
  return Buffer.from(`${PREFIX}${no}`);
}

export function isBirth(key: Uint8Array): boolean {
  return Buffer.from(key).toString().startsWith(PREFIX);
}

/** `key`: of the shard's row. */
export function encodeBirth(key: Buffer, row: ShardRow): Uint8Array {
  const length = Buffer.alloc(KEY_LENGTH_BYTES);
  length.writeUInt16BE(key.length);
  return Buffer.concat([length, key, encodeShardRow(row)]);
}

export function decodeBirth(value: Uint8Array): { readonly key: Buffer; readonly value: Buffer } {
  const bytes = Buffer.from(value);
  const end = KEY_LENGTH_BYTES + bytes.readUInt16BE(0);
  return { key: bytes.subarray(KEY_LENGTH_BYTES, end), value: bytes.subarray(end) };
}

/** That a lane was begun: its blocks say how far it is, but not its name. `key`: of the lane's row. */
export function laneBirthKey(key: Uint8Array): Buffer {
  return Buffer.concat([LANE_PREFIX, key]);
}

/** The key of the lane's row; null for any other row. */
export function bornLaneKey(key: Buffer): Buffer | null {
  const isLane = key.subarray(0, LANE_PREFIX.length).equals(LANE_PREFIX);
  return isLane ? key.subarray(LANE_PREFIX.length) : null;
}

export const LANE_BIRTH = Buffer.of(1);

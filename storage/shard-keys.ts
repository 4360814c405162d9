// Keys of shards, blocks and lanes, and how a lane is written down. Numbers are big-endian, so that keys sort by them.
import { assert } from '../stream/errors.ts';
import { positionParts, toPosition } from '../stream/position.ts';
import type { Position } from '../stream/position.ts';
import type { LaneState, ShardRef } from '../stream/ports.ts';

const NO_BYTES = 4;
const LANE_HEAD_BYTES = 26;

export function nameOf(ref: ShardRef): string {
  return `${ref.streamId}\0${ref.shardId}`;
}

export function shardKey(ref: ShardRef): Buffer {
  assert(!ref.streamId.includes('\0') && !ref.shardId.includes('\0'), 'ids have no NUL');
  return Buffer.from(nameOf(ref));
}

export function refOf(key: Uint8Array): ShardRef {
  const [streamId = '', shardId = ''] = Buffer.from(key).toString('utf8').split('\0');
  return { streamId, shardId };
}

/** Every key of a shard's blocks and lanes starts with it. */
export function noKey(no: number): Buffer {
  const key = Buffer.allocUnsafe(NO_BYTES);
  key.writeUInt32BE(no, 0);
  return key;
}

export function noOf(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUInt32BE(0);
}

export function blockKey(no: number, commit: bigint): Buffer {
  const key = Buffer.allocUnsafe(NO_BYTES + 8);
  key.writeUInt32BE(no, 0);
  key.writeBigUInt64BE(commit, NO_BYTES);
  return key;
}

export function commitOf(key: Uint8Array): bigint {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64BE(NO_BYTES);
}

export function laneKey(no: number, lane: string): Buffer {
  return Buffer.concat([noKey(no), Buffer.from(lane)]);
}

export function laneOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8', NO_BYTES);
}

export function encodeLane(lane: { last: bigint; position: Position; tag: Uint8Array }): Uint8Array {
  const { epoch, commit, index } = positionParts(lane.position);
  const head = Buffer.alloc(LANE_HEAD_BYTES);
  head.writeBigUInt64BE(lane.last, 0);
  head.writeBigUInt64BE(epoch, 8);
  head.writeBigUInt64BE(commit, 16);
  head.writeUInt16BE(index, 24);
  return Buffer.concat([head, lane.tag]);
}

export function decodeLane(stored: Uint8Array): LaneState {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const position = toPosition(bytes.readBigUInt64BE(8), bytes.readBigUInt64BE(16), bytes.readUInt16BE(24));
  return { last: bytes.readBigUInt64BE(0), position, tag: bytes.subarray(LANE_HEAD_BYTES) };
}

// The envelope around a block in an engine: what only the engine knows of it, and whose block it is, so that a block can
// be told from every other one when nothing but its bytes is left. docs/FORMAT.md shows its layout.
import { nodeDigest } from '../../runtime/digest.ts';
import { assert } from '../../stream/errors.ts';
import { NOTE_BYTES_MAX, STORED_BLOCK_BYTES_MAX } from '../../stream/limits.ts';

export interface Envelope {
  readonly recordCount: number;
  readonly arrivalMs: number;
  /** Of the shard, up to and including this block. */
  readonly cumulativeRecords: number;
  readonly cumulativeBytes: number;
}

/** As it is read. */
export interface ReadEnvelope extends Envelope {
  /** Length of the block inside; of a lost one, what there was of it. */
  readonly blockBytes: number;
  /** No block: records that could not be brought back are counted here, so that what follows keeps its numbers. */
  readonly isLost: boolean;
}

/** Whose block it is. */
export interface BlockHome {
  readonly shardNo: number;
  /** Of the shard's name: a number may be given again, a name is not. */
  readonly shardTag: number;
  readonly commit: bigint;
  /** laneHash of the lane that wrote it, 0 outside a lane. */
  readonly laneHash: bigint;
}

const AT = { flags: 1, count: 4, arrival: 8, records: 16, bytes: 24, blockBytes: 32 } as const;
const AT_HOME = { no: 36, commit: 40, lane: 48, tag: 56, noteBytes: 60, checksum: 64 } as const;
const ENVELOPE_BYTES = { 1: 36, 2: 68 } as const;
const LOST = 1;
const LOST_BYTES = 8;
const NO_NOTE = new Uint8Array();
const NO_LANE = 0n;

/** A copy of the block between its envelope and its note. */
export function wrapBlock(
  envelope: Envelope,
  home: BlockHome,
  block: Uint8Array,
  note: Uint8Array = NO_NOTE,
): Uint8Array {
  const stored = Buffer.allocUnsafe(ENVELOPE_BYTES[2] + block.length + note.length);
  writeEnvelope(stored, envelope, home, block.length, 0);
  stored.writeUInt32BE(note.length, AT_HOME.noteBytes);
  stored.set(block, ENVELOPE_BYTES[2]);
  stored.set(note, ENVELOPE_BYTES[2] + block.length);
  stored.writeUInt32BE(checksumOf(stored, block.length), AT_HOME.checksum);
  return stored;
}

/** Stands where blocks of `bytes` together were lost. */
export function wrapLost(envelope: Envelope, home: BlockHome, bytes: number): Uint8Array {
  const stored = Buffer.alloc(ENVELOPE_BYTES[2] + LOST_BYTES);
  writeEnvelope(stored, envelope, home, 0, LOST);
  stored.writeUInt32BE(LOST_BYTES, AT_HOME.noteBytes);
  stored.writeDoubleBE(bytes, ENVELOPE_BYTES[2]);
  stored.writeUInt32BE(checksumOf(stored, 0), AT_HOME.checksum);
  return stored;
}

export function readEnvelope(stored: Uint8Array): ReadEnvelope {
  const bytes = bufferOf(stored);
  const head = headBytesOf(bytes);
  const isLost = bytes[0] === 2 && ((bytes[AT.flags] ?? 0) & LOST) !== 0;
  const blockBytes = bytes.length > head ? bytes.readUInt32BE(AT.blockBytes) : 0;
  const isWhole = isLost
    ? bytes.length === head + LOST_BYTES
    : blockBytes > 0 && blockBytes <= bytes.length - head;
  assert(isWhole, 'a stored block has an envelope and the bytes that it says');
  return {
    recordCount: bytes.readUInt32BE(AT.count),
    arrivalMs: bytes.readDoubleBE(AT.arrival),
    cumulativeRecords: bytes.readDoubleBE(AT.records),
    cumulativeBytes: bytes.readDoubleBE(AT.bytes),
    blockBytes: isLost ? bytes.readDoubleBE(head) : blockBytes,
    isLost,
  };
}

/** Length of a stored block that starts with `head`; null when that is none, or one of version 1, which does not say. */
export function storedLengthOf(head: Uint8Array): number | null {
  const bytes = bufferOf(head);
  if (homeOf(head) === null) return null;
  const blockBytes = bytes.readUInt32BE(AT.blockBytes);
  const noteBytes = bytes.readUInt32BE(AT_HOME.noteBytes);
  const isPossible = blockBytes > 0 && blockBytes <= STORED_BLOCK_BYTES_MAX && noteBytes <= NOTE_BYTES_MAX;
  return isPossible ? ENVELOPE_BYTES[2] + blockBytes + noteBytes : null;
}

/** Null for an envelope of version 1, which does not say. */
export function homeOf(stored: Uint8Array): BlockHome | null {
  const bytes = bufferOf(stored);
  if (bytes[0] !== 2 || bytes.length < ENVELOPE_BYTES[2]) return null;
  return {
    shardNo: bytes.readUInt32BE(AT_HOME.no),
    shardTag: bytes.readUInt32BE(AT_HOME.tag),
    commit: bytes.readBigUInt64BE(AT_HOME.commit),
    laneHash: bytes.readBigUInt64BE(AT_HOME.lane),
  };
}

/** Whether the envelope and the note are as they were written. Version 1 has no checksum: nobody can tell. */
export function isEnvelopeSound(stored: Uint8Array): boolean {
  const bytes = bufferOf(stored);
  if (bytes[0] === 1) return true;
  if (bytes.length < ENVELOPE_BYTES[2]) return false;
  const { blockBytes, isLost } = readEnvelope(stored);
  return checksumOf(bytes, isLost ? 0 : blockBytes) === bytes.readUInt32BE(AT_HOME.checksum);
}

/** Views, not copies. */
export function unwrapBlock(stored: Uint8Array): { block: Uint8Array; note: Uint8Array } {
  const head = headBytesOf(stored);
  const { blockBytes, isLost } = readEnvelope(stored);
  assert(!isLost, 'what is lost has no block');
  const end = head + blockBytes;
  return { block: stored.subarray(head, end), note: stored.subarray(end) };
}

export function shardTag(name: string): number {
  return nodeDigest.crc32(Buffer.from(name));
}

export function laneHash(lane: string | undefined): bigint {
  return lane === undefined ? NO_LANE : BigInt(`0x${nodeDigest.md5Hex(lane).slice(0, 16)}`);
}

function writeEnvelope(
  stored: Buffer,
  envelope: Envelope,
  home: BlockHome,
  blockBytes: number,
  flags: number,
): void {
  stored.writeUInt32BE((2 << 24) | (flags << 16), 0);
  stored.writeUInt32BE(envelope.recordCount, AT.count);
  stored.writeDoubleBE(envelope.arrivalMs, AT.arrival);
  stored.writeDoubleBE(envelope.cumulativeRecords, AT.records);
  stored.writeDoubleBE(envelope.cumulativeBytes, AT.bytes);
  stored.writeUInt32BE(blockBytes, AT.blockBytes);
  stored.writeUInt32BE(home.shardNo, AT_HOME.no);
  stored.writeBigUInt64BE(home.commit, AT_HOME.commit);
  stored.writeBigUInt64BE(home.laneHash, AT_HOME.lane);
  stored.writeUInt32BE(home.shardTag, AT_HOME.tag);
}

/** Of all but the block, which has one of its own. */
function checksumOf(stored: Buffer, blockBytes: number): number {
  const head = nodeDigest.crc32(stored.subarray(0, AT_HOME.checksum));
  return nodeDigest.crc32(stored.subarray(ENVELOPE_BYTES[2] + blockBytes), head);
}

function headBytesOf(stored: Uint8Array): number {
  const version = stored[0];
  assert(version === 1 || version === 2, 'an envelope has version 1 or 2');
  return ENVELOPE_BYTES[version];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

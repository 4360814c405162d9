// A sealed block: a container around an encrypted block that can be proved whole, and put back into its lane when its store
// is damaged, without its key. docs/FORMAT.md.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { BLOCK_ID_BYTES, parseHeader } from '../../stream/block-header.ts';
import { TributaryError, assert } from '../../stream/errors.ts';
import { BLOCK_RECORDS_MAX, STORED_BLOCK_BYTES_MAX } from '../../stream/limits.ts';
import type { Digest, ShardRef } from '../../stream/ports.ts';
import { RECORD_CLASSES } from '../../stream/record.ts';
import type { RecordClass } from '../../stream/record.ts';

/** "TRS1", little-endian. */
const MAGIC = 0x31535254;
const VERSION = 2;
const CHECKSUM_START = 8;
const NONCE_START = 24;
const NONCE_BYTES = 12;
const BLOCK_ID_START = 36;
const ORDINAL_START = BLOCK_ID_START + BLOCK_ID_BYTES;
/** By version. */
const HEAD_BYTES = { 1: 52, 2: 60 } as const;
const TAG_BYTES = 16;

/** What sealing adds to a block. */
export const SEAL_BYTES = HEAD_BYTES[VERSION] + TAG_BYTES;

export interface DataKey {
  readonly id: number;
  readonly key: Uint8Array;
}

/** Whence the keys of blocks come. */
export interface SealingKeys {
  /** The next take finds a key. */
  readonly isReady: boolean;
  /** The key for one block; null: there is none now, and refill must come first. */
  take(): DataKey | null;
  /** Resolves when there is one to take. */
  refill(): Promise<void>;
}

/** What stands in the clear. */
export interface SealedHead {
  readonly keyId: number;
  readonly recordCount: number;
  readonly blockId: Uint8Array;
  /** Null: version 1 does not say. */
  readonly class: RecordClass | null;
  /** Null: version 1 does not say. */
  readonly firstOrdinal: bigint | null;
}

export function sealBlock(
  block: Uint8Array,
  recordCount: number,
  ref: ShardRef,
  { id, key }: DataKey,
  digest: Digest,
): Uint8Array {
  assert(recordCount >= 1 && recordCount <= BLOCK_RECORDS_MAX, 'a block has 1..65,535 records');
  const header = parseHeader(block);
  const sealed = Buffer.alloc(SEAL_BYTES + block.length);
  sealed.writeUInt32LE(MAGIC, 0);
  sealed.writeUInt8(VERSION, 8);
  sealed.writeUInt8(RECORD_CLASSES.indexOf(header.class), 11);
  sealed.writeUInt32LE(sealed.length, 12);
  sealed.writeUInt16LE(recordCount, 16);
  sealed.writeUInt32LE(id, 20);
  randomBytes(NONCE_BYTES).copy(sealed, NONCE_START);
  sealed.set(header.blockId, BLOCK_ID_START);
  sealed.writeBigUInt64LE(header.firstOrdinal, ORDINAL_START);
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(sealed));
  cipher.setAAD(contextOf(sealed, ref));
  cipher.update(block).copy(sealed, HEAD_BYTES[VERSION]);
  const rest = cipher.final();
  assert(rest.length === 0, 'GCM keeps nothing back');
  cipher.getAuthTag().copy(sealed, sealed.length - TAG_BYTES);
  sealed.writeUInt32LE(digest.crc32(sealed.subarray(CHECKSUM_START)), 4);
  return sealed;
}

export function isSealed(stored: Uint8Array): boolean {
  return stored.length >= 4 && bufferOf(stored).readUInt32LE(0) === MAGIC;
}

/** The data key it says; it may be damaged. Null: it is not sealed. */
export function keyIdOf(stored: Uint8Array): number | null {
  return isSealed(stored) && stored.length >= NONCE_START ? bufferOf(stored).readUInt32LE(20) : null;
}

/** Checks all that can be checked without the key. Throws BLOCK_MALFORMED, BLOCK_TOO_LARGE or BLOCK_CHECKSUM. */
export function checkSealed(stored: Uint8Array, digest: Digest): SealedHead {
  const head = parseSealed(stored);
  const sealed = bufferOf(stored);
  const stands = sealed.readUInt32LE(4);
  const checksum = digest.crc32(sealed.subarray(CHECKSUM_START));
  if (stands !== checksum) throw damaged(`its checksum is ${checksum}, its header says ${stands}`);
  return head;
}

/** Reads the head and checks every field against its bounds. The checksum is the caller's to check. */
export function parseSealed(stored: Uint8Array): SealedHead {
  const sealed = bufferOf(stored);
  const version = versionOf(sealed);
  if (sealed.length <= HEAD_BYTES[version] + TAG_BYTES)
    throw malformed(`${stored.length} bytes are less than a sealed block has`);
  const length = sealed.readUInt32LE(12);
  if (length !== sealed.length) throw malformed(`it says ${length} bytes and has ${sealed.length}`);
  if (length > STORED_BLOCK_BYTES_MAX) {
    throw new TributaryError('BLOCK_TOO_LARGE', `a sealed block is at most ${STORED_BLOCK_BYTES_MAX} bytes`);
  }
  const reserved = version === 1 ? sealed.readUIntBE(9, 3) : sealed.readUInt16BE(9);
  if (reserved !== 0 || sealed.readUInt16LE(18) !== 0) throw malformed('reserved bits are set');
  const recordCount = sealed.readUInt16LE(16);
  if (recordCount === 0) throw malformed('it has no records');
  const head = {
    keyId: sealed.readUInt32LE(20),
    recordCount,
    blockId: Uint8Array.from(sealed.subarray(BLOCK_ID_START, BLOCK_ID_START + BLOCK_ID_BYTES)),
  };
  if (version === 1) return { ...head, class: null, firstOrdinal: null };
  const recordClass = RECORD_CLASSES[sealed.readUInt8(11)];
  if (recordClass === undefined) throw malformed(`class ${sealed.readUInt8(11)} is unknown`);
  return { ...head, class: recordClass, firstOrdinal: sealed.readBigUInt64LE(ORDINAL_START) };
}

/**
 * The block inside. `find` throws when the key is not known. Throws what checkSealed throws, and BLOCK_CHECKSUM when the
 * block was changed by somebody who made the checksum right, or belongs to another shard.
 */
export function openBlock(
  stored: Uint8Array,
  ref: ShardRef,
  find: (keyId: number) => Uint8Array,
  digest: Digest,
): Uint8Array {
  const { keyId } = checkSealed(stored, digest);
  const sealed = bufferOf(stored);
  const headBytes = HEAD_BYTES[versionOf(sealed)];
  const decipher = createDecipheriv('aes-256-gcm', find(keyId), nonceOf(sealed));
  decipher.setAAD(contextOf(sealed, ref));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const block = decipher.update(sealed.subarray(headBytes, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    throw damaged(
      `data key ${keyId} does not open it: it was changed, or it is not of shard ${ref.streamId}/${ref.shardId}`,
    );
  }
  return block;
}

function versionOf(sealed: Buffer): keyof typeof HEAD_BYTES {
  if (sealed.length <= CHECKSUM_START)
    throw malformed(`${sealed.length} bytes are less than a sealed block has`);
  if (sealed.readUInt32LE(0) !== MAGIC) throw malformed('it does not start with the magic "TRS1"');
  const version = sealed.readUInt8(8);
  if (version === 1 || version === 2) return version;
  throw malformed(`version ${version} is unknown; this program reads versions 1 and 2`);
}

function nonceOf(sealed: Buffer): Buffer {
  return sealed.subarray(NONCE_START, NONCE_START + NONCE_BYTES);
}

/** What must not change beside the block itself: the head behind its checksum, and the shard it lies in. */
function contextOf(sealed: Buffer, { streamId, shardId }: ShardRef): Buffer {
  const stream = Buffer.from(streamId);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(stream.length);
  return Buffer.concat([
    sealed.subarray(0, 4),
    sealed.subarray(CHECKSUM_START, HEAD_BYTES[versionOf(sealed)]),
    length,
    stream,
    Buffer.from(shardId),
  ]);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(reason: string): TributaryError {
  return new TributaryError('BLOCK_MALFORMED', `the sealed block is malformed: ${reason}`);
}

function damaged(reason: string): TributaryError {
  return new TributaryError('BLOCK_CHECKSUM', `the sealed block is damaged: ${reason}`);
}

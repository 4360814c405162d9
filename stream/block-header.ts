// The 80-byte header of a block, version 1, little-endian. docs/FORMAT.md shows one in hex.
import { TributaryError, assert } from './errors.ts';
import { BLOCK_BYTES_MAX, BLOCK_RECORDS_MAX, STORED_BLOCK_BYTES_MAX } from './limits.ts';
import { CLOCK_SYNC_STATES, RECORD_CLASSES } from './record.ts';
import type { ClockSyncState, RecordClass } from './record.ts';

export const BLOCK_HEADER_BYTES = 80;
const BLOCK_VERSION = 1;
/** "TRB1". */
const BLOCK_MAGIC = 0x31425254;
/** The checksum covers every byte behind itself. */
export const BLOCK_CHECKSUM_START = 8;
export const BLOCK_ID_BYTES = 16;
export const BOOT_ID_BYTES = 16;
/** The first half of a block id names the run (one opening of a log) that wrote it. */
export const RUN_ID_BYTES = 8;

export interface BlockHeader {
  /** 0 = stored as is. */
  readonly codec: number;
  readonly class: RecordClass;
  /** Lane ordinal of the first record; 0 outside a lane. */
  readonly firstOrdinal: bigint;
  /** 1..65,535. */
  readonly recordCount: number;
  /** Bytes of the body before the codec. */
  readonly rawLength: number;
  /** 8 bytes of run id, then a u64 counter of the run: never the same twice. */
  readonly blockId: Uint8Array;
  /** The boot whose monotonic clock the records are timed by. */
  readonly bootId: Uint8Array;
  /** Monotonic microseconds the first record's delta is relative to. */
  readonly monotonicBaseUs: bigint;
  /** Wall milliseconds at the same moment, as then known. */
  readonly wallBaseMs: number;
  readonly clockSync: ClockSyncState;
}

export interface ParsedHeader extends BlockHeader {
  /** Header and stored body. */
  readonly totalLength: number;
  readonly checksum: number;
}

const TIME_MAX = 2n ** 63n - 1n;

/** Writes all but the checksum, which needs the body. */
export function writeHeader(target: Uint8Array, header: BlockHeader): void {
  assert(header.recordCount >= 1 && header.recordCount <= BLOCK_RECORDS_MAX, 'a block has 1..65,535 records');
  assert(header.blockId.length === BLOCK_ID_BYTES, 'a block id has 16 bytes');
  assert(header.bootId.length === BOOT_ID_BYTES, 'a boot id has 16 bytes');
  const view = viewOf(target);
  view.setUint32(0, BLOCK_MAGIC, true);
  view.setUint8(8, BLOCK_VERSION);
  view.setUint8(9, header.codec);
  view.setUint8(10, 0);
  view.setUint8(11, RECORD_CLASSES.indexOf(header.class));
  view.setUint32(12, target.length, true);
  view.setUint32(16, header.rawLength, true);
  view.setUint16(20, header.recordCount, true);
  view.setUint8(22, CLOCK_SYNC_STATES.indexOf(header.clockSync));
  view.setUint8(23, 0);
  view.setBigUint64(24, header.firstOrdinal, true);
  target.set(header.blockId, 32);
  target.set(header.bootId, 48);
  view.setBigUint64(64, header.monotonicBaseUs, true);
  view.setBigInt64(72, BigInt(header.wallBaseMs), true);
}

/** Reads and checks every field against its bounds. The checksum is checked by the caller, over the whole block. */
export function parseHeader(block: Uint8Array): ParsedHeader {
  if (block.length < BLOCK_HEADER_BYTES) throw malformed(`${block.length} bytes are less than a header`);
  const view = viewOf(block);
  if (view.getUint32(0, true) !== BLOCK_MAGIC) throw malformed('it does not start with the magic "TRB1"');
  const version = view.getUint8(8);
  if (version !== BLOCK_VERSION)
    throw malformed(`version ${version} is unknown; this program reads version 1`);
  if (view.getUint8(10) !== 0 || view.getUint8(23) !== 0) throw malformed('reserved bits are set');
  const recordClass = RECORD_CLASSES[view.getUint8(11)];
  if (recordClass === undefined) throw malformed(`class ${view.getUint8(11)} is unknown`);
  const clockSync = CLOCK_SYNC_STATES[view.getUint8(22)];
  if (clockSync === undefined) throw malformed(`clock state ${view.getUint8(22)} is unknown`);
  const header = {
    codec: view.getUint8(9),
    class: recordClass,
    firstOrdinal: view.getBigUint64(24, true),
    recordCount: view.getUint16(20, true),
    rawLength: view.getUint32(16, true),
    blockId: block.slice(32, 48),
    bootId: block.slice(48, 64),
    monotonicBaseUs: view.getBigUint64(64, true),
    wallBaseMs: Number(view.getBigInt64(72, true)),
    clockSync,
    totalLength: view.getUint32(12, true),
    checksum: view.getUint32(4, true),
  };
  checkBounds(block, header);
  return header;
}

function checkBounds(block: Uint8Array, header: ParsedHeader): void {
  if (header.totalLength !== block.length) {
    throw malformed(`it says ${header.totalLength} bytes and has ${block.length}`);
  }
  if (header.recordCount === 0) throw malformed('it has no records');
  const bytesMax = header.recordCount === 1 ? STORED_BLOCK_BYTES_MAX : BLOCK_BYTES_MAX;
  // As it would be stored without its codec: whoever lacks that gets it so, and nobody inflates more than this.
  const plainBytes = BLOCK_HEADER_BYTES + header.rawLength;
  if (block.length > bytesMax || plainBytes > (header.codec === 0 ? bytesMax : BLOCK_BYTES_MAX)) {
    const compressed = header.codec === 0 ? '' : `, and at most ${BLOCK_BYTES_MAX} when it is compressed`;
    throw new TributaryError(
      'BLOCK_TOO_LARGE',
      `a block of ${header.recordCount} records is at most ${bytesMax} bytes${compressed}`,
    );
  }
  if (header.codec === 0 && header.rawLength !== block.length - BLOCK_HEADER_BYTES) {
    throw malformed(
      `its body has ${block.length - BLOCK_HEADER_BYTES} bytes, the header says ${header.rawLength}`,
    );
  }
  if (header.firstOrdinal + BigInt(header.recordCount) > TIME_MAX)
    throw malformed('its ordinals exceed 2^63');
  if (header.monotonicBaseUs > TIME_MAX) throw malformed('its monotonic base exceeds 2^63');
  if (!Number.isSafeInteger(header.wallBaseMs)) throw malformed('its wall base is out of range');
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function malformed(reason: string): TributaryError {
  return new TributaryError('BLOCK_MALFORMED', `the block is malformed: ${reason}`);
}

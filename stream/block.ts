// A block: many records of one lane or writer, immutable, checksummed, read from any record. It is what is
// committed, sent and stored. Pure: time, ids and the checksum come in from outside. Format: docs/FORMAT.md.
import {
  BLOCK_CHECKSUM_START,
  BLOCK_HEADER_BYTES,
  malformed,
  parseHeader,
  viewOf,
  writeHeader,
} from './block-header.ts';
import type { BlockHeader, ParsedHeader } from './block-header.ts';
import { TributaryError, assert } from './errors.ts';
import {
  BLOCK_BYTES_MAX,
  BLOCK_RECORDS_MAX,
  COMPRESSED_BODY_BYTES_MIN,
  PARTITION_KEY_CHARACTERS_MAX,
  RECORD_BYTES_MAX,
} from './limits.ts';
import type { Codec, Digest } from './ports.ts';
import type { TimedRecord } from './record.ts';
import { BodyReader, toZigzag, varintBytes, writeVarint } from './varint.ts';

/** What a writer chooses; the rest of the header follows from the records. */
export type BlockFrame = Pick<
  BlockHeader,
  'class' | 'firstOrdinal' | 'blockId' | 'bootId' | 'wallBaseMs' | 'clockSync' | 'monotonicBaseUs'
>;

export interface Block {
  readonly header: ParsedHeader;
  readonly records: readonly TimedRecord[];
}

const NO_CODECS: readonly Codec[] = [];
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Encodes 1..65,535 records; with a codec when that makes the body smaller. Throws BLOCK_TOO_LARGE or RECORD_TOO_LARGE;
 * records are not changed or kept.
 */
export function encodeBlock(
  frame: BlockFrame,
  records: readonly TimedRecord[],
  digest: Digest,
  codec?: Codec,
): Uint8Array {
  assert(records.length >= 1 && records.length <= BLOCK_RECORDS_MAX, 'a block has 1..65,535 records');
  const raw = encodeBody(frame, records);
  const plainBytes = BLOCK_HEADER_BYTES + raw.length;
  if (records.length > 1 && plainBytes > BLOCK_BYTES_MAX) {
    throw new TributaryError(
      'BLOCK_TOO_LARGE',
      `a block of several records is at most ${BLOCK_BYTES_MAX} bytes, this one has ${plainBytes}`,
    );
  }
  const isCompressible = raw.length >= COMPRESSED_BODY_BYTES_MIN && plainBytes <= BLOCK_BYTES_MAX;
  const compressed = isCompressible ? codec?.compress(raw) : undefined;
  const isSmaller = compressed !== undefined && compressed.length < raw.length;
  const body = isSmaller ? compressed : raw;
  const block = new Uint8Array(BLOCK_HEADER_BYTES + body.length);
  writeHeader(block, {
    ...frame,
    codec: isSmaller ? (codec?.id ?? 0) : 0,
    recordCount: records.length,
    rawLength: raw.length,
  });
  block.set(body, BLOCK_HEADER_BYTES);
  viewOf(block).setUint32(4, digest.crc32(block.subarray(BLOCK_CHECKSUM_START)), true);
  return block;
}

/** Checks the header's bounds and the checksum; leaves the body alone. */
export function checkBlock(block: Uint8Array, digest: Digest): ParsedHeader {
  const header = parseHeader(block);
  const checksum = digest.crc32(block.subarray(BLOCK_CHECKSUM_START));
  if (checksum === header.checksum) return header;
  throw new TributaryError(
    'BLOCK_CHECKSUM',
    `the block's checksum is ${hex(checksum)}, its header says ${hex(header.checksum)}`,
  );
}

/**
 * Decodes records `fromIndex`.. (at most `countMax`). Data are views of the block unless it is compressed.
 * Walks the whole body when everything is asked for, so that a full decode proves every count and length.
 */
export function decodeBlock(
  block: Uint8Array,
  digest: Digest,
  codecs = NO_CODECS,
  fromIndex = 0,
  countMax = BLOCK_RECORDS_MAX,
): Block {
  const header = checkBlock(block, digest);
  const reader = new BodyReader(bodyOf(block, header, codecs));
  const keys = decodeDictionary(reader);
  const records = decodeRecords(
    reader,
    header,
    keys,
    fromIndex,
    Math.min(header.recordCount, fromIndex + countMax),
  );
  return { header, records };
}

/** The bytes that a record adds to a block at most; writers close a block by it. */
export function recordBytesInBlock(record: {
  readonly partitionKey: string;
  readonly data: Uint8Array;
}): number {
  return record.data.length + record.partitionKey.length * 3 + 24;
}

function encodeBody(frame: BlockFrame, records: readonly TimedRecord[]): Uint8Array {
  const keys = dictionaryOf(records);
  const deltas = timeDeltas(frame.monotonicBaseUs, records);
  const raw = new Uint8Array(bodyLength(keys, records, deltas));
  let at = writeVarint(raw, 0, keys.entries.length);
  for (const key of keys.entries) {
    at = writeVarint(raw, at, key.length);
    raw.set(key, at);
    at += key.length;
  }
  records.forEach((record, index) => {
    at = writeVarint(raw, at, deltas[index] ?? 0);
    at = writeVarint(raw, at, keys.indexes[index] ?? 0);
    at = writeVarint(raw, at, record.data.length);
    raw.set(record.data, at);
    at += record.data.length;
  });
  assert(at === raw.length, 'the body has the length that was computed for it');
  return raw;
}

interface Dictionary {
  readonly entries: readonly Uint8Array[];
  /** Per record the place of its key in `entries`. */
  readonly indexes: readonly number[];
}

function dictionaryOf(records: readonly TimedRecord[]): Dictionary {
  const places = new Map<string, number>();
  const entries: Uint8Array[] = [];
  const indexes = records.map((record) => {
    checkRecord(record);
    const known = places.get(record.partitionKey);
    if (known !== undefined) return known;
    places.set(record.partitionKey, entries.length);
    return entries.push(encoder.encode(record.partitionKey)) - 1;
  });
  return { entries, indexes };
}

function checkRecord(record: TimedRecord): void {
  const characters = record.partitionKey.length;
  if (characters < 1 || characters > PARTITION_KEY_CHARACTERS_MAX) {
    throw malformed(
      `a partition key has 1..${PARTITION_KEY_CHARACTERS_MAX} characters, this one ${characters}`,
    );
  }
  if (record.data.length <= RECORD_BYTES_MAX) return;
  throw new TributaryError(
    'RECORD_TOO_LARGE',
    `a record is at most ${RECORD_BYTES_MAX} bytes, this one has ${record.data.length}`,
  );
}

function timeDeltas(baseUs: bigint, records: readonly TimedRecord[]): number[] {
  let previousUs = baseUs;
  return records.map((record) => {
    const delta = toZigzag(Number(record.monotonicUs - previousUs));
    previousUs = record.monotonicUs;
    return delta;
  });
}

function bodyLength(keys: Dictionary, records: readonly TimedRecord[], deltas: readonly number[]): number {
  let length = varintBytes(keys.entries.length);
  for (const key of keys.entries) length += varintBytes(key.length) + key.length;
  records.forEach((record, index) => {
    const dataLength = record.data.length;
    length +=
      varintBytes(deltas[index] ?? 0) +
      varintBytes(keys.indexes[index] ?? 0) +
      varintBytes(dataLength) +
      dataLength;
  });
  return length;
}

function bodyOf(block: Uint8Array, header: ParsedHeader, codecs: readonly Codec[]): Uint8Array {
  const stored = block.subarray(BLOCK_HEADER_BYTES);
  if (header.codec === 0) return stored;
  const codec = codecs.find((candidate) => candidate.id === header.codec);
  if (codec === undefined) {
    throw new TributaryError(
      'CODEC_UNKNOWN',
      `the block is compressed with codec ${header.codec}, which this program does not have`,
    );
  }
  if (stored.length >= header.rawLength) throw malformed('its codec has not made it smaller');
  return codec.decompress(stored, header.rawLength);
}

function decodeDictionary(reader: BodyReader): string[] {
  const count = reader.varint();
  if (count < 1 || count > BLOCK_RECORDS_MAX) throw malformed(`it has ${count} partition keys`);
  const keys: string[] = [];
  for (let index = 0; index < count; index += 1) keys.push(decodeKey(reader.view(reader.varint())));
  return keys;
}

function decodeKey(bytes: Uint8Array): string {
  const key = utf8(bytes);
  if (key !== null && key.length >= 1 && key.length <= PARTITION_KEY_CHARACTERS_MAX) return key;
  throw malformed(
    key === null ? 'a partition key is not UTF-8' : `a partition key has ${key.length} characters`,
  );
}

function utf8(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    // The decoder's own error says nothing that the caller's does not.
    return null;
  }
}

function decodeRecords(
  reader: BodyReader,
  header: ParsedHeader,
  keys: readonly string[],
  from: number,
  to: number,
): TimedRecord[] {
  const records: TimedRecord[] = [];
  let monotonicUs = header.monotonicBaseUs;
  for (let index = 0; index < to; index += 1) {
    const deltaUs = reader.zigzag();
    // Records of one call have one time: one bigint is enough for them.
    if (deltaUs !== 0) monotonicUs += BigInt(deltaUs);
    const partitionKey = keys[reader.varint()];
    if (partitionKey === undefined)
      throw malformed(`record ${index} names a partition key that is not there`);
    const dataLength = reader.varint();
    if (dataLength > RECORD_BYTES_MAX) throw malformed(`record ${index} has ${dataLength} bytes`);
    const data = reader.view(dataLength);
    if (monotonicUs < 0n) throw malformed(`record ${index} lies before the boot`);
    if (index >= from) records.push({ partitionKey, data, monotonicUs });
  }
  if (to === header.recordCount && !reader.atEnd) throw malformed('bytes follow its last record');
  return records;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

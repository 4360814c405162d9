// Several user records in one stream record, as the Kinesis Producer Library packs them (amazon-kinesis-producer,
// aggregation-format.md): 4 bytes of magic, a protobuf message, its MD5.
//
//   AggregatedRecord { 1: repeated string keys, 2: repeated string explicit hash keys, 3: repeated Record }
//   Record { 1: index of its key, 2: index of its explicit hash key, if it has one, 3: data, 4: repeated Tag { 1, 2 } }
import { TributaryError, isTributaryError } from './errors.ts';
import { BodyReader, varintBytes, writeVarint } from './varint.ts';

export interface UserRecord {
  readonly partitionKey: string;
  /** Decimal; absent: the MD5 of the partition key decides. */
  readonly explicitHashKey?: string;
  readonly data: Uint8Array;
}

/** MD5, 16 bytes. */
export type Md5 = (bytes: Uint8Array) => Uint8Array;

const MAGIC = Uint8Array.of(0xf3, 0x89, 0x9a, 0xc2);
const MD5_BYTES = 16;
const KEY_TABLE = 1;
const HASH_KEY_TABLE = 2;
const RECORDS = 3;
const WIRE_VARINT = 0;
const WIRE_64_BITS = 1;
const WIRE_BYTES = 2;
const WIRE_32_BITS = 5;
const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The data of one stream record. It must be put under the partition key and the explicit hash key of the first record, to a
 * shard that owns the hash keys of all of them: a reader drops the rest of an aggregate at the first foreign one.
 */
export function encodeAggregate(records: readonly UserRecord[], md5: Md5): Uint8Array {
  const keys = new Table();
  const hashKeys = new Table();
  const messages = records.map((record) => {
    const fields = [varintField(1, keys.indexOf(record.partitionKey))];
    const { explicitHashKey } = record;
    if (explicitHashKey !== undefined) fields.push(varintField(2, hashKeys.indexOf(explicitHashKey)));
    return bytesField(RECORDS, concat([...fields, bytesField(3, record.data)]));
  });
  const message = concat([
    ...keys.texts.map((key) => bytesField(KEY_TABLE, utf8.encode(key))),
    ...hashKeys.texts.map((key) => bytesField(HASH_KEY_TABLE, utf8.encode(key))),
    ...messages,
  ]);
  return concat([MAGIC, message, md5(message)]);
}

/**
 * The user records of an aggregate, in order; null for an ordinary record: another magic, too short, another checksum, or
 * a message that is none.
 */
export function decodeAggregate(data: Uint8Array, md5: Md5): UserRecord[] | null {
  const end = data.length - MD5_BYTES;
  if (end <= MAGIC.length || !startsWith(data, MAGIC)) return null;
  const message = data.subarray(MAGIC.length, end);
  if (!startsWith(data.subarray(end), md5(message))) return null;
  try {
    return decodeMessage(message);
  } catch (error) {
    // Text that is no UTF-8 is a TypeError of the platform.
    if (isTributaryError(error) || error instanceof TypeError) return null;
    throw error;
  }
}

function decodeMessage(message: Uint8Array): UserRecord[] {
  const keys: string[] = [];
  const hashKeys: string[] = [];
  const records: Uint8Array[] = [];
  for (const { field, bytes } of fieldsOf(message)) {
    if (bytes === undefined) continue;
    if (field === KEY_TABLE) keys.push(strictUtf8.decode(bytes));
    else if (field === HASH_KEY_TABLE) hashKeys.push(strictUtf8.decode(bytes));
    else if (field === RECORDS) records.push(bytes);
  }
  // The tables may stand behind the records that name them.
  return records.map((record) => decodeRecord(record, keys, hashKeys));
}

function decodeRecord(record: Uint8Array, keys: readonly string[], hashKeys: readonly string[]): UserRecord {
  let key: number | undefined;
  let hashKey: number | undefined;
  let data: Uint8Array | undefined;
  for (const { field, number, bytes } of fieldsOf(record)) {
    if (field === 1) key = number;
    else if (field === 2) hashKey = number;
    else if (field === 3) data = bytes;
  }
  const partitionKey = keys[key ?? -1];
  if (partitionKey === undefined || data === undefined) throw malformed('a record has no key or no data');
  if (hashKey === undefined) return { partitionKey, data };
  const explicitHashKey = hashKeys[hashKey];
  if (explicitHashKey === undefined) throw malformed('a record names a hash key that is not there');
  return { partitionKey, explicitHashKey, data };
}

interface Field {
  readonly field: number;
  readonly number?: number;
  readonly bytes?: Uint8Array;
}

/** Throws BLOCK_MALFORMED, the reader's own code. */
function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new BodyReader(message);
  while (!reader.atEnd) {
    const tag = reader.varint();
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === WIRE_VARINT) yield { field, number: reader.varint() };
    else if (wire === WIRE_BYTES) yield { field, bytes: reader.view(reader.varint()) };
    else if (wire === WIRE_64_BITS) reader.view(8);
    else if (wire === WIRE_32_BITS) reader.view(4);
    else throw malformed(`wire type ${wire} is not known`);
  }
}

class Table {
  readonly #places = new Map<string, number>();

  indexOf(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    this.#places.set(text, this.#places.size);
    return this.#places.size - 1;
  }

  get texts(): string[] {
    return [...this.#places.keys()];
  }
}

function varintField(field: number, value: number): Uint8Array {
  const out = new Uint8Array(1 + varintBytes(value));
  out[0] = field * 8 + WIRE_VARINT;
  writeVarint(out, 1, value);
  return out;
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  const head = 1 + varintBytes(bytes.length);
  const out = new Uint8Array(head + bytes.length);
  out[0] = field * 8 + WIRE_BYTES;
  writeVarint(out, 1, bytes.length);
  out.set(bytes, head);
  return out;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function startsWith(bytes: Uint8Array, head: Uint8Array): boolean {
  return head.every((byte, index) => bytes[index] === byte);
}

function malformed(text: string): TributaryError {
  return new TributaryError('BLOCK_MALFORMED', text);
}

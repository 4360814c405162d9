// The records of a page as replies and events carry them (Kinesis API, Record), written by hand in either encoding: half the
// cost of a large page is in objects that live for one reply.
import type { StoredRecord } from '../../storage/record-log.ts';
import type { Position } from '../../stream/position.ts';
import { sequenceNumbersOf } from '../../stream/sequence-number.ts';
import { SelfWritten } from '../wire/body-codec.ts';
import { CborWriter } from '../wire/cbor-writer.ts';
import type { JsonWriter } from '../wire/json-writer.ts';

/** Encoded once: the names of the members. */
const NAMES = {
  sequenceNumber: cborText('SequenceNumber'),
  arrival: cborText('ApproximateArrivalTimestamp'),
  data: cborText('Data'),
  partitionKey: cborText('PartitionKey'),
};
const MEMBERS = Object.keys(NAMES).length;
/** Of a record that was encrypted with a key of its stream; others do not have the member. */
const ENCRYPTED = {
  json: ',"EncryptionType":"KMS"',
  cbor: [cborText('EncryptionType'), cborText('KMS')],
} as const;

export class RecordList extends SelfWritten {
  readonly #records: readonly StoredRecord[];
  readonly #shardIndex: number;

  constructor(records: readonly StoredRecord[], shardIndex: number) {
    super();
    this.#records = records;
    this.#shardIndex = shardIndex;
  }

  override json(writer: JsonWriter): void {
    writer.reserve(this.#records.reduce((sum, record) => sum + jsonBytes(record), PAGE_SLACK_BYTES));
    let before = '[';
    const numberOf = this.#numbers();
    const base64Of = base64Writer();
    for (const record of this.#records) {
      const tail = record.streamKey === undefined ? '' : ENCRYPTED.json;
      writer.raw(
        `${before}{"SequenceNumber":"${numberOf(record)}","ApproximateArrivalTimestamp":${record.arrivalMs / 1000},"Data":"${base64Of(record.data)}","PartitionKey":${quoted(record.partitionKey)}${tail}}`,
      );
      before = ',';
    }
    writer.raw(before === '[' ? '[]' : ']');
  }

  override cbor(writer: CborWriter): void {
    const numberOf = this.#numbers();
    writer.list(this.#records.length);
    for (const record of this.#records) {
      const isEncrypted = record.streamKey !== undefined;
      writer.map(isEncrypted ? MEMBERS + 1 : MEMBERS);
      writer.raw(NAMES.sequenceNumber);
      writer.text(numberOf(record));
      writer.raw(NAMES.arrival);
      writer.timestampMs(record.arrivalMs);
      writer.raw(NAMES.data);
      writer.bytes(record.data);
      writer.raw(NAMES.partitionKey);
      writer.text(record.partitionKey);
      if (isEncrypted) for (const text of ENCRYPTED.cbor) writer.raw(text);
    }
  }

  /** Within a block only the index differs. */
  #numbers(): (record: StoredRecord) => string {
    let block: Position | null = null;
    let numberAt: (index: number) => string = String;
    return ({ blockFirst, index }) => {
      if (blockFirst !== block) {
        block = blockFirst;
        numberAt = sequenceNumbersOf(blockFirst, this.#shardIndex);
      }
      return numberAt(index);
    };
  }
}

/** A writer asks for the most that a text can take, which is three times what it does. */
const PAGE_SLACK_BYTES = 16 * 1024;

/** About what a record takes: its data and key, and what stands around them. */
function jsonBytes({ data, partitionKey }: StoredRecord): number {
  return Math.ceil(data.length / 3) * 4 + partitionKey.length + 204;
}

/** The data of a page lie in few buffers: one view of each is enough. */
function base64Writer(): (data: Uint8Array) => string {
  let whole = Buffer.alloc(0);
  return ({ buffer, byteOffset, byteLength }) => {
    if (whole.buffer !== buffer) whole = Buffer.from(buffer as ArrayBuffer);
    return whole.toString('base64', byteOffset, byteOffset + byteLength);
  };
}

/** Printable ASCII but for quote and backslash. */
const NEEDS_NO_ESCAPE = /^[ !#-[\]-~]*$/;

function quoted(key: string): string {
  return NEEDS_NO_ESCAPE.test(key) ? `"${key}"` : JSON.stringify(key);
}

function cborText(text: string): Uint8Array {
  const writer = new CborWriter();
  writer.text(text);
  return writer.finish();
}

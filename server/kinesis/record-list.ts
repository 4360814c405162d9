// The records of a page as replies and events carry them (Kinesis API, Record), written by hand in either encoding: half the
// cost of a large page is in objects that live for one reply.
import type { StoredRecord } from '../../storage/record-log.ts';
import type { Position } from '../../stream/position.ts';
import { sequenceNumbersOf } from '../../stream/sequence-number.ts';
import { SelfWritten } from '../wire/body-codec.ts';
import { CborWriter } from '../wire/cbor-writer.ts';

/** Encoded once: the names of the members. */
const NAMES = {
  sequenceNumber: cborText('SequenceNumber'),
  arrival: cborText('ApproximateArrivalTimestamp'),
  data: cborText('Data'),
  partitionKey: cborText('PartitionKey'),
};
const MEMBERS = Object.keys(NAMES).length;

export class RecordList extends SelfWritten {
  readonly #records: readonly StoredRecord[];
  readonly #shardIndex: number;

  constructor(records: readonly StoredRecord[], shardIndex: number) {
    super();
    this.#records = records;
    this.#shardIndex = shardIndex;
  }

  override json(): string {
    const texts: string[] = [];
    const keys = new Map<string, string>();
    const numberOf = this.#numbers();
    for (const record of this.#records) {
      const { partitionKey, data, arrivalMs } = record;
      const base64 = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
      const head = `{"SequenceNumber":"${numberOf(record)}","ApproximateArrivalTimestamp":${arrivalMs / 1000}`;
      texts.push(`${head},"Data":"${base64}","PartitionKey":${quoted(partitionKey, keys)}}`);
    }
    return `[${texts.join(',')}]`;
  }

  override cbor(writer: CborWriter): void {
    const numberOf = this.#numbers();
    writer.list(this.#records.length);
    for (const record of this.#records) {
      writer.map(MEMBERS);
      writer.raw(NAMES.sequenceNumber);
      writer.text(numberOf(record));
      writer.raw(NAMES.arrival);
      writer.timestampMs(record.arrivalMs);
      writer.raw(NAMES.data);
      writer.bytes(record.data);
      writer.raw(NAMES.partitionKey);
      writer.text(record.partitionKey);
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

/** Most records of a page share few keys. */
function quoted(key: string, known: Map<string, string>): string {
  let text = known.get(key);
  if (text === undefined) {
    text = JSON.stringify(key);
    known.set(key, text);
  }
  return text;
}

function cborText(text: string): Uint8Array {
  const writer = new CborWriter();
  writer.text(text);
  return writer.finish();
}

// The answers of PutRecords as its reply carries them (Kinesis API, PutRecordsResultEntry), written by hand in either
// encoding. Sequence numbers, ids of shards and codes need no escapes.
import { SelfWritten } from '../wire/body-codec.ts';
import type { CborWriter } from '../wire/cbor-writer.ts';
import type { JsonWriter } from '../wire/json-writer.ts';

export type PutResult =
  | { readonly ShardId: string; readonly SequenceNumber: string }
  | { readonly ErrorCode: string; readonly ErrorMessage: string };

export class PutResults extends SelfWritten {
  readonly #results: readonly PutResult[];

  constructor(results: readonly PutResult[]) {
    super();
    this.#results = results;
  }

  override json(writer: JsonWriter): void {
    const texts = this.#results.map((result) =>
      'ErrorCode' in result
        ? JSON.stringify(result)
        : `{"SequenceNumber":"${result.SequenceNumber}","ShardId":"${result.ShardId}"}`,
    );
    writer.raw(`[${texts.join(',')}]`);
  }

  override cbor(writer: CborWriter): void {
    writer.list(this.#results.length);
    for (const result of this.#results) {
      const members = Object.entries(result);
      writer.map(members.length);
      for (const [name, value] of members) {
        writer.text(name);
        writer.text(value);
      }
    }
  }
}

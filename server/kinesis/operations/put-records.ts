// PutRecords: up to 500 records, in request order for each shard; a shard that fails fails its own records only
// (Kinesis API, PutRecords).
import { ServiceError } from '../../wire/service-error.ts';
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext, StreamInput } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { checkSize, shareByShard, writeShares } from '../record-writer.ts';
import type { Answer, Placed, PutEntry } from '../record-writer.ts';
import type { StreamRow } from '../stream-row.ts';

const REQUEST_BYTES_MAX = 10 * 1024 * 1024;

export interface PutRecordsInput extends StreamInput {
  readonly Records: readonly PutEntry[];
  readonly DryRun?: boolean;
}

export async function putRecords(input: PutRecordsInput, context: KinesisContext): Promise<object> {
  const row = context.catalog.active(streamNameOf(context.account, input));
  checkRequest(row, input.Records);
  const shares = shareByShard(row, input.Records, context);
  endDryRun(input);
  const answers = (await writeShares(row, shares, context)).map(wireAnswer);
  return { FailedRecordCount: answers.filter((answer) => 'ErrorCode' in answer).length, Records: answers };
}

function wireAnswer(answer: Answer): Placed | { readonly ErrorCode: string; readonly ErrorMessage: string } {
  if (!('error' in answer)) return answer;
  const { error } = answer;
  if (error instanceof ServiceError) return { ErrorCode: error.type, ErrorMessage: error.message };
  return { ErrorCode: 'InternalFailure', ErrorMessage: 'Internal Service Failure' };
}

function checkRequest(row: StreamRow, entries: readonly PutEntry[]): void {
  let bytes = 0;
  for (const entry of entries) {
    checkSize(row, entry);
    bytes += entry.Data.length + Buffer.byteLength(entry.PartitionKey);
  }
  if (bytes <= REQUEST_BYTES_MAX) return;
  throw kinesisError('InvalidArgumentException', 'Records size exceeds 10 MB limit');
}

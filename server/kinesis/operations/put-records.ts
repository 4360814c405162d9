// PutRecords: up to 500 records, in request order for each shard; a shard that fails fails its own records only
// (Kinesis API, PutRecords).
import { ServiceError } from '../../wire/service-error.ts';
import type { Caller } from '../../access/caller.ts';
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { kinesisError } from '../errors.ts';
import { PutResults } from '../put-results.ts';
import type { PutResult } from '../put-results.ts';
import { checkSize, entryBytes, shareByShard, writeShares } from '../record-writer.ts';
import type { Answer, PutEntry } from '../record-writer.ts';
import { encryptionOf } from '../stream-encryption.ts';
import type { StreamRow } from '../stream-row.ts';

const REQUEST_BYTES_MAX = 10 * 1024 * 1024;

export interface PutRecordsInput extends StreamInput {
  readonly Records: readonly PutEntry[];
  readonly DryRun?: boolean;
}

export async function putRecords(
  input: PutRecordsInput,
  context: KinesisContext,
  caller: Caller,
): Promise<object> {
  const row = context.catalog.active(streamNameOf(context.account, input));
  const bytes = checkRequest(row, input.Records);
  const shares = shareByShard(row, input.Records, context);
  await context.encryption.admitWrite(row, caller);
  endDryRun(input);
  const answers = (await writeShares(row, shares, context)).map(wireAnswer);
  const codes = answers.flatMap((answer) => ('ErrorCode' in answer ? [answer.ErrorCode] : []));
  const throttled = codes.filter((code) => code === 'ProvisionedThroughputExceededException').length;
  const failed = codes.length - throttled;
  context.traffic.put('PutRecords', row.name, bytes, { records: answers.length, failed, throttled });
  return { FailedRecordCount: codes.length, Records: new PutResults(answers), ...encryptionOf(row) };
}

function wireAnswer(answer: Answer): PutResult {
  if (!('error' in answer)) return answer;
  const { error } = answer;
  if (error instanceof ServiceError) return { ErrorCode: error.type, ErrorMessage: error.message };
  return { ErrorCode: 'InternalFailure', ErrorMessage: 'Internal Service Failure' };
}

/** Bytes of data and keys. */
function checkRequest(row: StreamRow, entries: readonly PutEntry[]): number {
  let bytes = 0;
  for (const entry of entries) {
    checkSize(row, entry);
    bytes += entryBytes(entry);
  }
  if (bytes <= REQUEST_BYTES_MAX) return bytes;
  throw kinesisError('InvalidArgumentException', 'Records size exceeds 10 MB limit');
}

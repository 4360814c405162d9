// PutRecords: up to 500 records, in request order for each shard; a shard that fails fails its own records only
// (Kinesis API, PutRecords).
import type { Shard } from '../../../stream/shard-map.ts';
import { ServiceError } from '../../wire/service-error.ts';
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext, StreamInput } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { checkSize, placeOf, putToShard } from '../record-writer.ts';
import type { Placed, PutEntry } from '../record-writer.ts';
import type { StreamRow } from '../stream-row.ts';

const REQUEST_BYTES_MAX = 10 * 1024 * 1024;

export interface PutRecordsInput extends StreamInput {
  readonly Records: readonly PutEntry[];
  readonly DryRun?: boolean;
}

type Answer = Placed | { readonly ErrorCode: string; readonly ErrorMessage: string };

interface Share {
  readonly shard: Shard;
  readonly places: number[];
  readonly entries: PutEntry[];
}

export async function putRecords(input: PutRecordsInput, context: KinesisContext): Promise<object> {
  const row = context.catalog.active(streamNameOf(context.account, input));
  checkRequest(row, input.Records);
  const shares = shareByShard(row, input.Records, context);
  endDryRun(input);
  const answers: Answer[] = [];
  await Promise.all(shares.map((share) => putShare(row, share, answers, context)));
  return { FailedRecordCount: answers.filter((answer) => 'ErrorCode' in answer).length, Records: answers };
}

async function putShare(
  row: StreamRow,
  share: Share,
  answers: Answer[],
  context: KinesisContext,
): Promise<void> {
  try {
    const placed = await putToShard(row, share.shard, share.entries, context);
    placed.forEach((one, index) => (answers[share.places[index] ?? 0] = one));
  } catch (error) {
    for (const place of share.places) answers[place] = failure(error);
  }
}

function failure(error: unknown): Answer {
  if (error instanceof ServiceError) return { ErrorCode: error.type, ErrorMessage: error.message };
  return { ErrorCode: 'InternalFailure', ErrorMessage: 'Internal Service Failure' };
}

function shareByShard(row: StreamRow, entries: readonly PutEntry[], context: KinesisContext): Share[] {
  const shares = new Map<number, Share>();
  entries.forEach((entry, place) => {
    const shard = placeOf(row, entry, context);
    const share = shares.get(shard.index) ?? { shard, places: [], entries: [] };
    share.places.push(place);
    share.entries.push(entry);
    shares.set(shard.index, share);
  });
  return [...shares.values()];
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

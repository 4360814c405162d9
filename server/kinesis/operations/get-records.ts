// GetRecords: a page of one shard and where to go on (Kinesis API, GetRecords).
import { READ_BYTES_MAX, READ_RECORDS_MAX } from '../../../stream/limits.ts';
import { recordBytes } from '../../../stream/record.ts';
import type { Caller } from '../../access/caller.ts';
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext } from '../context.ts';
import { describeChildren } from '../description.ts';
import { kinesisError, rateExceeded } from '../errors.ts';
import { RecordList } from '../record-list.ts';
import { shardRef, unexpiredShard } from '../stream-row.ts';
import type { StreamRow } from '../stream-row.ts';

export interface GetRecordsInput {
  readonly ShardIterator: string;
  readonly Limit?: number;
  readonly StreamARN?: string;
  readonly DryRun?: boolean;
}

export async function getRecords(
  input: GetRecordsInput,
  context: KinesisContext,
  caller: Caller,
): Promise<object> {
  const nowMs = context.clock.wallMs();
  const iterator = context.tokens.openIterator(input.ShardIterator, nowMs);
  const row = context.catalog.byId(iterator.streamId);
  const shard = row === undefined ? undefined : unexpiredShard(row, iterator.shardIndex, nowMs);
  if (row === undefined || shard === undefined) {
    throw kinesisError(
      'ResourceNotFoundException',
      `The stream or shard of this iterator under account ${context.account.accountId} not found.`,
    );
  }
  checkArn(input, row, context);
  endDryRun(input);
  const meter = context.meters.of(row.id, shard.index);
  if (!meter.takeRead()) {
    context.traffic.throttled('read', row, shard.index);
    throw rateExceeded(row, shard, context.account);
  }
  const max = { records: input.Limit ?? READ_RECORDS_MAX, bytes: READ_BYTES_MAX };
  const page = await context.records.read(shardRef(row, shard), iterator.position, max);
  context.encryption.admitRead(page.records, caller);
  const bytes = page.records.reduce((sum, record) => sum + recordBytes(record), 0);
  meter.oweRead(bytes);
  const last = page.records.at(-1);
  const ageMs = last === undefined ? 0 : Math.max(0, nowMs - last.arrivalMs);
  context.traffic.read(row, shard.index, { records: page.records.length, bytes, ageMs });
  return {
    Records: new RecordList(page.records, shard.index),
    MillisBehindLatest: page.nextArrivalMs === null ? 0 : Math.max(0, nowMs - page.nextArrivalMs),
    // Until the children are there a closed shard has not ended for its readers.
    ...(page.closedEnd && shard.closedAtMs !== null
      ? { ChildShards: describeChildren(row, shard.index) }
      : { NextShardIterator: context.tokens.sealIterator({ ...iterator, position: page.next }, nowMs) }),
  };
}

/** The iterator decides; an ARN beside it may only say the same. */
function checkArn({ StreamARN }: GetRecordsInput, row: StreamRow, { account }: KinesisContext): void {
  if (StreamARN === undefined || streamNameOf(account, { StreamARN }) === row.name) return;
  throw kinesisError('InvalidArgumentException', 'StreamARN and ShardIterator do not name the same stream.');
}

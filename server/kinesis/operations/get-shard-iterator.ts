// GetShardIterator: where a reader starts (Kinesis API, GetShardIterator).
import { START_POSITION, nextPosition } from '../../../stream/position.ts';
import type { Position } from '../../../stream/position.ts';
import { parseSequenceNumber } from '../../../stream/sequence-number.ts';
import type { SequenceParts } from '../../../stream/sequence-number.ts';
import { shardIdOf, shardIndexOf } from '../../../stream/shard-map.ts';
import type { Shard } from '../../../stream/shard-map.ts';
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext, StreamInput } from '../context.ts';
import { kinesisError, rateExceeded } from '../errors.ts';
import { shardRef, unexpiredShards } from '../stream-row.ts';
import type { StreamRow } from '../stream-row.ts';

export interface GetShardIteratorInput extends StreamInput {
  readonly ShardId: string;
  readonly ShardIteratorType:
    | 'AT_SEQUENCE_NUMBER'
    | 'AFTER_SEQUENCE_NUMBER'
    | 'TRIM_HORIZON'
    | 'LATEST'
    | 'AT_TIMESTAMP';
  readonly StartingSequenceNumber?: string;
  /** Milliseconds. */
  readonly Timestamp?: number;
  readonly DryRun?: boolean;
}

export async function getShardIterator(
  input: GetShardIteratorInput,
  context: KinesisContext,
): Promise<object> {
  const row = context.catalog.active(streamNameOf(context.account, input));
  const shard = shardOf(row, input.ShardId, context);
  checkArguments(input, context);
  if (!context.meters.of(row.id, shard.index).takeIterator()) throw rateExceeded(row, shard, context.account);
  const position = await startOf(input, row, shard, context);
  endDryRun(input);
  const iterator = { streamId: row.id, shardIndex: shard.index, position };
  return { ShardIterator: context.tokens.sealIterator(iterator, context.clock.wallMs()) };
}

async function startOf(
  input: GetShardIteratorInput,
  row: StreamRow,
  shard: Shard,
  context: KinesisContext,
): Promise<Position> {
  switch (input.ShardIteratorType) {
    case 'TRIM_HORIZON':
      return START_POSITION;
    case 'LATEST':
      return (await context.log.bounds(shardRef(row, shard))).next;
    case 'AT_TIMESTAMP':
      return context.log.seekTime(shardRef(row, shard), input.Timestamp ?? 0);
    case 'AT_SEQUENCE_NUMBER':
      return await numberOf(input, row, shard, context);
    case 'AFTER_SEQUENCE_NUMBER':
      return nextPosition(await numberOf(input, row, shard, context));
  }
}

async function numberOf(
  input: GetShardIteratorInput,
  row: StreamRow,
  shard: Shard,
  { account, log }: KinesisContext,
): Promise<Position> {
  const number = input.StartingSequenceNumber ?? '';
  const parts = parsed(number);
  if (parts !== null && parts.shardIndex !== shard.index) {
    const text = `Invalid StartingSequenceNumber. It encodes ${shardIdOf(parts.shardIndex)}, while it was used in a call to a shard with ${shardIdOf(shard.index)}`;
    throw kinesisError('InvalidArgumentException', text);
  }
  // A number that was not given yet would hide the records that come before it.
  if (parts !== null && parts.position < (await log.bounds(shardRef(row, shard))).next) return parts.position;
  const text = `StartingSequenceNumber ${number} used in GetShardIterator on shard ${shardIdOf(shard.index)} in stream ${row.name} under account ${account.accountId} is invalid.`;
  throw kinesisError('InvalidArgumentException', text);
}

function parsed(number: string): SequenceParts | null {
  try {
    return parseSequenceNumber(number);
  } catch {
    return null;
  }
}

function shardOf(row: StreamRow, shardId: string, { account, clock }: KinesisContext): Shard {
  const index = shardIndexOf(shardId);
  const shard = unexpiredShards(row, clock.wallMs()).find((candidate) => candidate.index === index);
  if (shard !== undefined) return shard;
  const text =
    index === null
      ? `Could not find shard ${shardId} in stream ${row.name} under account ${account.accountId}.`
      : `Shard ${shardIdOf(index)} in stream ${row.name} under account ${account.accountId} does not exist`;
  throw kinesisError('ResourceNotFoundException', text);
}

function checkArguments(input: GetShardIteratorInput, { clock }: KinesisContext): void {
  const needsNumber = input.ShardIteratorType.endsWith('SEQUENCE_NUMBER');
  const hasNumber = input.StartingSequenceNumber !== undefined;
  if (input.ShardIteratorType !== 'AT_TIMESTAMP' && needsNumber !== hasNumber) {
    const tail = hasNumber ? 'and also a StartingSequenceNumber.' : 'and no StartingSequenceNumber.';
    const text = `Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified ${input.ShardIteratorType} ${tail}`;
    throw kinesisError('InvalidArgumentException', text);
  }
  if (input.ShardIteratorType !== 'AT_TIMESTAMP') return;
  if (input.Timestamp === undefined) {
    const text =
      'Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.';
    throw kinesisError('InvalidArgumentException', text);
  }
  const nowMs = clock.wallMs();
  if (input.Timestamp <= nowMs) return;
  const text = `The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: ${input.Timestamp}, currentTimestampInMillis: ${nowMs}`;
  throw kinesisError('InvalidArgumentException', text);
}

// GetShardIterator: where a reader starts (Kinesis API, GetShardIterator).
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { rateExceeded } from '../errors.ts';
import { positionOf, shardNamed } from '../starting-position.ts';
import type { StartingPosition } from '../starting-position.ts';

export interface GetShardIteratorInput extends StreamInput {
  readonly ShardId: string;
  readonly ShardIteratorType: StartingPosition['Type'];
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
  const shard = shardNamed(row, input.ShardId, context);
  const start: StartingPosition = {
    Type: input.ShardIteratorType,
    SequenceNumber: input.StartingSequenceNumber,
    Timestamp: input.Timestamp,
  };
  if (!context.meters.of(row.id, shard.index).takeIterator()) throw rateExceeded(row, shard, context.account);
  const position = await positionOf(start, { row, shard, operation: 'GetShardIterator' }, context);
  endDryRun(input);
  const iterator = { streamId: row.id, shardIndex: shard.index, position };
  return { ShardIterator: context.tokens.sealIterator(iterator, context.clock.wallMs()) };
}

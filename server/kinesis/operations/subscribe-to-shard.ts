// SubscribeToShard: records of one shard, pushed to a registered consumer (Kinesis API, SubscribeToShard).
import { AssertionFailure } from '../../../stream/errors.ts';
import { shardIdOf } from '../../../stream/shard-map.ts';
import type { Caller } from '../../access/caller.ts';
import { EventReply } from '../../wire/event-reply.ts';
import type { StreamReply } from '../../wire/operation.ts';
import { ServiceError } from '../../wire/service-error.ts';
import type { Consumer } from '../consumers.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { namedConsumer } from '../named-consumer.ts';
import { RecordPush } from '../record-push.ts';
import type { PushFrom } from '../record-push.ts';
import { positionOf, shardNamed } from '../starting-position.ts';
import type { StartingPosition } from '../starting-position.ts';
import { kinesisStorageError } from '../storage-error.ts';
import type { Subscription } from '../subscriptions.ts';
import { consumerNotActive, streamNotFound } from '../stream-errors.ts';

export interface SubscribeToShardInput {
  readonly ConsumerARN: string;
  readonly ShardId: string;
  readonly StartingPosition: StartingPosition;
  readonly DryRun?: boolean;
}

export async function subscribeToShard(
  input: SubscribeToShardInput,
  context: KinesisContext,
  reply: StreamReply,
  caller: Caller,
): Promise<void> {
  const consumer = activeConsumer(input.ConsumerARN, context);
  const from = { ...(await startOf(input, consumer, context)), caller };
  endDryRun(input);
  const subscription = claim(consumer, from, context);
  const events = EventReply.open(reply);
  try {
    await new RecordPush(context, from, events, subscription).run();
    const { failure } = subscription;
    if (failure === null) events.end();
    else events.fail(failure.type, failure);
  } catch (error) {
    failWith(error, events);
  } finally {
    subscription.release();
  }
}

function claim(consumer: Consumer, { row, shard }: PushFrom, context: KinesisContext): Subscription {
  const { subscriptions, traffic } = context;
  try {
    const subscription = subscriptions.claim({ consumer, shardId: shardIdOf(shard.index) });
    traffic.subscribed(row.name, consumer.name, 'success');
    return subscription;
  } catch (error) {
    traffic.subscribed(row.name, consumer.name, 'rate_exceeded');
    throw error;
  }
}

function activeConsumer(arn: string, context: KinesisContext): Consumer {
  const consumer = namedConsumer({ ConsumerARN: arn }, context);
  if (consumer.status === 'ACTIVE') return consumer;
  throw consumerNotActive(context.account, consumer);
}

async function startOf(
  input: SubscribeToShardInput,
  consumer: Consumer,
  context: KinesisContext,
): Promise<Omit<PushFrom, 'caller'>> {
  const row = context.catalog.byId(consumer.streamId);
  if (row === undefined) throw streamNotFound(context.account, consumer.streamName);
  const shard = shardNamed(row, input.ShardId, context);
  const place = { row, shard, operation: 'SubscribeToShard' };
  const position = await positionOf(input.StartingPosition, place, context);
  return { row, shard, position, consumerName: consumer.name };
}

/** Throws again what is a failure of ours, for the log. */
function failWith(error: unknown, events: EventReply): void {
  if (error instanceof AssertionFailure) throw error;
  const known = error instanceof ServiceError ? error : kinesisStorageError(error);
  if (known?.type === 'ResourceNotFoundException' || known?.type.startsWith('KMS') === true) {
    events.fail(known.type, known);
    return;
  }
  events.fail(
    'InternalFailureException',
    kinesisError('InternalFailureException', 'Internal Service Failure'),
  );
  throw error;
}

// The consumer a request means: by its ARN, or by stream and name.
import { streamNameOf } from './arn.ts';
import type { Consumer } from './consumers.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError } from './errors.ts';

export interface ConsumerInput {
  readonly StreamARN?: string;
  readonly ConsumerName?: string;
  readonly ConsumerARN?: string;
}

/** Throws InvalidArgumentException when the members name none or two, ResourceNotFoundException when it is not there. */
export function namedConsumer(input: ConsumerInput, context: KinesisContext): Consumer {
  const { ConsumerARN: arn, StreamARN: ofStream, ConsumerName: name } = input;
  if (arn === undefined) return consumerOfStream(input, context);
  const consumer = context.consumers.byArn(arn) ?? notFound(arn, context);
  const agree =
    (name === undefined || name === consumer.name) &&
    (ofStream === undefined || ofStream === consumer.streamArn);
  if (agree) return consumer;
  const text = 'ConsumerARN, StreamARN and ConsumerName do not name the same consumer.';
  throw kinesisError('InvalidArgumentException', text);
}

function consumerOfStream({ StreamARN, ConsumerName }: ConsumerInput, context: KinesisContext): Consumer {
  if (StreamARN === undefined || ConsumerName === undefined) {
    const text = 'Either ConsumerARN or both StreamARN and ConsumerName should be provided.';
    throw kinesisError('InvalidArgumentException', text);
  }
  const stream = context.catalog.get(streamNameOf(context.account, { StreamARN }));
  return context.consumers.find(stream.id, ConsumerName) ?? notFound(ConsumerName, context);
}

function notFound(consumer: string, { account }: KinesisContext): never {
  const text = `Consumer ${consumer}, account ${account.accountId} not found.`;
  throw kinesisError('ResourceNotFoundException', text);
}

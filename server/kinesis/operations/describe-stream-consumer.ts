// DescribeStreamConsumer (Kinesis API, DescribeStreamConsumer).
import type { KinesisContext } from '../context.ts';
import { describeConsumer } from '../description.ts';
import { namedConsumer } from '../named-consumer.ts';
import type { ConsumerInput } from '../named-consumer.ts';

export function describeStreamConsumer(input: ConsumerInput, context: KinesisContext): Promise<object> {
  const consumer = namedConsumer(input, context);
  const description = { ...describeConsumer(consumer), StreamARN: consumer.streamArn };
  return Promise.resolve({ ConsumerDescription: description });
}

// DeregisterStreamConsumer: ends what is read through the consumer (Kinesis API, DeregisterStreamConsumer).
import type { KinesisContext } from '../context.ts';
import { namedConsumer } from '../named-consumer.ts';
import type { ConsumerInput } from '../named-consumer.ts';

export async function deregisterStreamConsumer(
  input: ConsumerInput,
  context: KinesisContext,
): Promise<undefined> {
  await context.consumers.deregister(namedConsumer(input, context));
  return undefined;
}

// RegisterStreamConsumer: the reply shows the consumer as it was registered, CREATING; clients ask until it is ACTIVE
// (Kinesis API, RegisterStreamConsumer).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { describeConsumer } from '../description.ts';
import { checkedTags } from '../tags.ts';
import type { Tags } from '../tags.ts';

export interface RegisterStreamConsumerInput {
  readonly StreamARN: string;
  readonly ConsumerName: string;
  readonly Tags?: Tags;
}

export async function registerStreamConsumer(
  input: RegisterStreamConsumerInput,
  { account, consumers }: KinesisContext,
): Promise<object> {
  const tags = checkedTags({ ...input.Tags });
  const consumer = await consumers.register(streamNameOf(account, input), input.ConsumerName, tags);
  return { Consumer: describeConsumer({ ...consumer, status: 'CREATING' }) };
}

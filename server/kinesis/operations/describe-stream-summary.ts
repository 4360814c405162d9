// DescribeStreamSummary: the stream without its shards (Kinesis API, DescribeStreamSummary).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { describeSummary } from '../description.ts';

export function describeStreamSummary(input: StreamInput, context: KinesisContext): Promise<object> {
  const row = context.catalog.get(streamNameOf(context.account, input));
  return Promise.resolve({ StreamDescriptionSummary: describeSummary(row, context) });
}

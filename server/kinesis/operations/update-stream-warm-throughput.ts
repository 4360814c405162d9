// UpdateStreamWarmThroughput: splits shards until there are enough for it (Kinesis API, UpdateStreamWarmThroughput).
import { streamArn, streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { checkWarmThroughput, describeWarmThroughput, withWarmThroughput } from '../warm-throughput.ts';

export interface UpdateStreamWarmThroughputInput extends StreamInput {
  readonly WarmThroughputMiBps: number;
}

export async function updateStreamWarmThroughput(
  input: UpdateStreamWarmThroughputInput,
  { account, catalog, settings }: KinesisContext,
): Promise<object> {
  const name = streamNameOf(account, input);
  const row = await catalog.update(
    name,
    (now) => {
      checkWarmThroughput(now.mode, settings);
      const next = withWarmThroughput(now, input.WarmThroughputMiBps);
      catalog.limits.checkRounds(now, next.reshard ?? []);
      return next;
    },
    'UPDATING',
  );
  return {
    StreamName: name,
    StreamARN: streamArn(account, name),
    WarmThroughput: describeWarmThroughput(row),
  };
}

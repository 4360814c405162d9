// IncreaseStreamRetentionPeriod: what is still kept is kept longer; what has expired stays so
// (Kinesis API, IncreaseStreamRetentionPeriod).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { checkRetention, withRetention } from '../retention.ts';
import type { RetentionInput } from '../retention.ts';

export async function increaseStreamRetentionPeriod(
  input: RetentionInput,
  { account, catalog, clock }: KinesisContext,
): Promise<undefined> {
  checkRetention(input.RetentionPeriodHours);
  await catalog.update(streamNameOf(account, input), (row) =>
    withRetention(row, { hours: input.RetentionPeriodHours, way: 'increase', nowMs: clock.wallMs() }),
  );
  return undefined;
}

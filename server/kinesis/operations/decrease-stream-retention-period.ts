// DecreaseStreamRetentionPeriod: what is older is hidden before the reply and leaves the disk later
// (Kinesis API, DecreaseStreamRetentionPeriod).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { checkRetention, withRetention } from '../retention.ts';
import type { RetentionInput } from '../retention.ts';

export async function decreaseStreamRetentionPeriod(
  input: RetentionInput,
  { account, catalog, clock }: KinesisContext,
): Promise<undefined> {
  checkRetention(input.RetentionPeriodHours);
  await catalog.update(streamNameOf(account, input), (row) =>
    withRetention(row, { hours: input.RetentionPeriodHours, way: 'decrease', nowMs: clock.wallMs() }),
  );
  return undefined;
}

// UpdateMaxRecordSize: for records put from now on (Kinesis API, UpdateMaxRecordSize).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';

export interface UpdateMaxRecordSizeInput {
  readonly StreamARN?: string;
  readonly MaxRecordSizeInKiB: number;
}

export async function updateMaxRecordSize(
  input: UpdateMaxRecordSizeInput,
  { account, catalog }: KinesisContext,
): Promise<undefined> {
  const maxRecordKiB = input.MaxRecordSizeInKiB;
  await catalog.update(streamNameOf(account, input), (row) => ({ ...row, maxRecordKiB }), 'UPDATING');
  return undefined;
}

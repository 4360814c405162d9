// UpdateShardCount: as many even shards as asked for, by splits and merges (Kinesis API, UpdateShardCount).
import { planResize } from '../../../stream/reshard.ts';
import { openShards } from '../../../stream/shard-map.ts';
import { streamArn, streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { checkDaily, noteDaily } from '../daily-limit.ts';
import { kinesisError } from '../errors.ts';
import { checkProvisioned } from '../open-shard.ts';
import type { StreamRow } from '../stream-row.ts';

export interface UpdateShardCountInput extends StreamInput {
  readonly TargetShardCount: number;
  readonly ScalingType: 'UNIFORM_SCALING';
}

const SHARDS_MAX = 10_000;

export async function updateShardCount(
  input: UpdateShardCountInput,
  context: KinesisContext,
): Promise<object> {
  const { account, catalog, clock } = context;
  const name = streamNameOf(account, input);
  let current = 0;
  await catalog.reshard(
    name,
    (row) => {
      checkProvisioned(row, context);
      current = openShards(row.map).length;
      checkTarget(input.TargetShardCount, current, row, context);
      return planResize(row.map, input.TargetShardCount);
    },
    { note: (row) => noteDaily(row, 'UpdateShardCount', clock.wallMs()) },
  );
  return {
    StreamName: name,
    CurrentShardCount: current,
    TargetShardCount: input.TargetShardCount,
    StreamARN: streamArn(account, name),
  };
}

function checkTarget(
  target: number,
  current: number,
  row: StreamRow,
  { account, clock }: KinesisContext,
): void {
  const place = `stream ${row.name} under account ${account.accountId}`;
  if (target > SHARDS_MAX)
    throw kinesisError(
      'LimitExceededException',
      `UpdateShardCount cannot scale ${place} to more than ${SHARDS_MAX} shards. Requested: ${target}.`,
    );
  if (target > 2 * current)
    throw kinesisError(
      'LimitExceededException',
      `UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: ${current}. Target shard count: ${target}.`,
    );
  if (2 * target < current)
    throw kinesisError(
      'LimitExceededException',
      `UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: ${current}. Target shard count: ${target}.`,
    );
  checkDaily(row, 'UpdateShardCount', clock.wallMs());
}

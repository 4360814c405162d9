// CreateStream: answers when the stream is ACTIVE, or at once when states are to last (Kinesis API, CreateStream).
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { ON_DEMAND_SHARDS } from '../stream-catalog.ts';
import type { StreamMode } from '../stream-row.ts';
import { checkedTags } from '../tags.ts';

export interface CreateStreamInput {
  readonly StreamName: string;
  readonly ShardCount?: number;
  readonly StreamModeDetails?: { readonly StreamMode: StreamMode };
  readonly MaxRecordSizeInKiB?: number;
  readonly Tags?: Readonly<Record<string, string>>;
}

export async function createStream(
  input: CreateStreamInput,
  { catalog }: KinesisContext,
): Promise<undefined> {
  const tags = checkedTags({ ...input.Tags });
  const mode = input.StreamModeDetails?.StreamMode ?? 'PROVISIONED';
  await catalog.create(input.StreamName, {
    mode,
    shardCount: mode === 'ON_DEMAND' ? ON_DEMAND_SHARDS : provisionedShards(input.ShardCount),
    tags,
    ...(input.MaxRecordSizeInKiB === undefined ? {} : { maxRecordKiB: input.MaxRecordSizeInKiB }),
  });
  return undefined;
}

function provisionedShards(shardCount: number | undefined): number {
  if (shardCount !== undefined) return shardCount;
  throw kinesisError('ValidationException', 'ShardCount must be provided for a stream in PROVISIONED mode.');
}

// CreateStream: answers when the stream is ACTIVE, or at once when states are to last (Kinesis API, CreateStream).
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';
import type { StreamMode } from '../stream-row.ts';
import { checkedTags } from '../tags.ts';
import { checkWarmThroughput, shardsMin } from '../warm-throughput.ts';

export interface CreateStreamInput {
  readonly StreamName: string;
  readonly ShardCount?: number;
  readonly StreamModeDetails?: { readonly StreamMode: StreamMode };
  readonly WarmThroughputMiBps?: number;
  readonly MaxRecordSizeInKiB?: number;
  readonly Tags?: Readonly<Record<string, string>>;
}

export async function createStream(
  input: CreateStreamInput,
  { catalog, settings }: KinesisContext,
): Promise<undefined> {
  const tags = checkedTags({ ...input.Tags });
  const mode = input.StreamModeDetails?.StreamMode ?? 'PROVISIONED';
  const warmMiBps = input.WarmThroughputMiBps;
  if (warmMiBps !== undefined) checkWarmThroughput(mode, settings);
  const warm = warmMiBps === undefined ? {} : { warmMiBps };
  await catalog.create(input.StreamName, {
    mode,
    ...warm,
    shardCount: mode === 'ON_DEMAND' ? shardsMin({ mode, ...warm }) : provisionedShards(input.ShardCount),
    tags,
    ...(input.MaxRecordSizeInKiB === undefined ? {} : { maxRecordKiB: input.MaxRecordSizeInKiB }),
  });
  return undefined;
}

function provisionedShards(shardCount: number | undefined): number {
  if (shardCount !== undefined) return shardCount;
  throw kinesisError('ValidationException', 'ShardCount must be provided for a stream in PROVISIONED mode.');
}

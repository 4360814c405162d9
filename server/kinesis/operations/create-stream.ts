// CreateStream: answers when the stream is ACTIVE (Kinesis API, CreateStream).
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { ON_DEMAND_SHARDS } from '../stream-catalog.ts';
import type { StreamMode } from '../stream-row.ts';

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

/** Kinesis API, AddTagsToStream: what the model's shapes do not say of tags. */
const TAGS_MAX = 50;
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

function checkedTags(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(tags);
  if (entries.length > TAGS_MAX)
    throw kinesisError('InvalidArgumentException', `A stream has at most ${TAGS_MAX} tags.`);
  for (const [key, value] of entries) {
    if (key.toLowerCase().startsWith('aws:'))
      throw kinesisError('InvalidArgumentException', 'Tag keys must not start with aws:.');
    if (!TAG_TEXT.test(key) || !TAG_TEXT.test(value))
      throw kinesisError('InvalidArgumentException', 'Tags are letters, digits, spaces and _ . : / = + - @.');
  }
  return tags;
}

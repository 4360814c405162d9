// What one shard takes and gives a second (Kinesis API, Quotas and limits), and how an operator changes it.
import { z } from 'zod';

const MIB = 1024 * 1024;

export interface ShardLimits {
  readonly writeRecordsPerSecond: number;
  /** Of data and partition keys. */
  readonly writeBytesPerSecond: number;
  readonly readCallsPerSecond: number;
  readonly readBytesPerSecond: number;
  readonly iteratorCallsPerSecond: number;
  /** To each registered consumer. */
  readonly pushBytesPerSecond: number;
}

const AWS_LIMITS: ShardLimits = {
  writeRecordsPerSecond: 1_000,
  writeBytesPerSecond: MIB,
  readCallsPerSecond: 5,
  readBytesPerSecond: 2 * MIB,
  iteratorCallsPerSecond: 5,
  pushBytesPerSecond: 2 * MIB,
};

const UNLIMITED: ShardLimits = {
  writeRecordsPerSecond: Infinity,
  writeBytesPerSecond: Infinity,
  readCallsPerSecond: Infinity,
  readBytesPerSecond: Infinity,
  iteratorCallsPerSecond: Infinity,
  pushBytesPerSecond: Infinity,
};

/** What a shard of the real service carries: what splits and merges go by, limited or not. */
export const SHARD_CAPACITY: Pick<ShardLimits, 'writeRecordsPerSecond' | 'writeBytesPerSecond'> = AWS_LIMITS;

export const LIMIT_PROFILES = ['aws', 'off'] as const;

const bound = (meaning: string): z.ZodOptional<z.ZodInt> =>
  z.int().min(1).max(1_000_000_000_000).optional().describe(meaning);

export const shardLimitSettings = z
  .strictObject({
    writeRecordsPerSecond: bound('Records that clients may put to one shard'),
    writeBytesPerSecond: bound('Bytes of data and keys that clients may put to one shard'),
    readCallsPerSecond: bound('GetRecords calls on one shard'),
    readBytesPerSecond: bound('Bytes that GetRecords may read of one shard'),
    iteratorCallsPerSecond: bound('GetShardIterator calls on one shard'),
    pushBytesPerSecond: bound('Bytes that one registered consumer is pushed of one shard'),
  })
  .prefault({})
  .describe('Limits of each shard; what is not set is as limits.profile says');

export function shardLimits(
  profile: (typeof LIMIT_PROFILES)[number],
  settings: z.output<typeof shardLimitSettings>,
): ShardLimits {
  const set = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...(profile === 'aws' ? AWS_LIMITS : UNLIMITED), ...Object.fromEntries(set) };
}

// How often each operation may be called (Kinesis Data Streams Developer Guide, Quotas and limits), and how an operator
// changes it. What reads and writes records is limited by the shard instead.
import { z } from 'zod';
import { TokenBucket, perSecond } from '../../runtime/token-bucket.ts';
import type { Account } from './account.ts';
import { kinesisError } from './errors.ts';
import type { LIMIT_PROFILES } from './shard-limits.ts';

interface CallLimit {
  readonly perSecond: number;
  /** Who shares it: all calls of the account, or those about one stream and its consumers. */
  readonly scope: 'account' | 'stream';
}

const account = (count: number): CallLimit => ({ perSecond: count, scope: 'account' });
const stream = (count: number): CallLimit => ({ perSecond: count, scope: 'stream' });

const AWS_LIMITS = {
  AddTagsToStream: account(5),
  CreateStream: account(5),
  DecreaseStreamRetentionPeriod: stream(5),
  DeleteResourcePolicy: account(5),
  DeleteStream: account(5),
  DeregisterStreamConsumer: stream(5),
  DescribeAccountSettings: account(5),
  DescribeLimits: account(1),
  DescribeStream: account(10),
  DescribeStreamConsumer: stream(20),
  DescribeStreamSummary: account(20),
  DisableEnhancedMonitoring: account(5),
  EnableEnhancedMonitoring: account(5),
  GetResourcePolicy: account(5),
  IncreaseStreamRetentionPeriod: stream(5),
  ListShards: stream(1_000),
  ListStreamConsumers: stream(5),
  ListStreams: account(5),
  ListTagsForResource: account(5),
  ListTagsForStream: account(5),
  MergeShards: account(5),
  PutResourcePolicy: account(5),
  RegisterStreamConsumer: stream(5),
  RemoveTagsFromStream: account(5),
  SplitShard: account(5),
  StartStreamEncryption: account(5),
  StopStreamEncryption: account(5),
  TagResource: account(5),
  UntagResource: account(5),
  UpdateAccountSettings: account(5),
  UpdateMaxRecordSize: account(5),
  UpdateShardCount: account(10),
  UpdateStreamMode: account(5),
  UpdateStreamWarmThroughput: account(5),
} as const satisfies Record<string, CallLimit>;

type LimitedCall = keyof typeof AWS_LIMITS;

export const callLimitSettings = z
  .partialRecord(
    z.enum(Object.keys(AWS_LIMITS) as [LimitedCall, ...LimitedCall[]]),
    z.number().min(0.001).max(1_000_000),
  )
  .prefault({})
  .describe('Calls per second by operation; what is not set is as limits.profile says');

/** Streams whose calls are remembered. One that is forgotten may call as often at once as after a pause. */
const STREAMS_MAX = 10_000;
/** What a consumer's ARN has behind its stream's. */
const CONSUMER = /\/consumer\/.*$/;

export class CallLimits {
  readonly #account: Account;
  readonly #now: () => number;
  readonly #limits: ReadonlyMap<string, CallLimit>;
  /** By operation and, where it has a limit of its own, stream; the one used last comes last. */
  readonly #buckets = new Map<string, TokenBucket>();

  /** `now`: monotonic, milliseconds. */
  constructor(
    profile: (typeof LIMIT_PROFILES)[number],
    settings: z.output<typeof callLimitSettings>,
    parts: { readonly account: Account; readonly now: () => number },
  ) {
    this.#account = parts.account;
    this.#now = parts.now;
    const limits = new Map<string, CallLimit>(profile === 'aws' ? Object.entries(AWS_LIMITS) : []);
    for (const [name, count] of Object.entries(settings))
      limits.set(name, { ...AWS_LIMITS[name as LimitedCall], perSecond: count });
    this.#limits = limits;
  }

  /** Counts the call. Throws LimitExceededException when it comes too soon; clients try again. */
  check(operation: string, resourceArn: string): void {
    const limit = this.#limits.get(operation);
    if (limit === undefined) return;
    const ofStream = resourceArn.replace(CONSUMER, '');
    const key = limit.scope === 'account' ? operation : `${operation} ${ofStream}`;
    if (this.#bucket(key, limit).take(1, this.#now())) return;
    const { accountId } = this.#account;
    const name = ofStream.split('/')[1];
    const who = name === undefined ? `account ${accountId}` : `stream ${name} under account ${accountId}`;
    throw kinesisError('LimitExceededException', `Rate exceeded for ${who}.`);
  }

  #bucket(key: string, limit: CallLimit): TokenBucket {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(perSecond(limit.perSecond), this.#now());
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > STREAMS_MAX && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

// Who is pushed the records of a shard: one subscription for each consumer and shard, and what ends it before its time
// (Kinesis API, SubscribeToShard).
import { TokenBucket, perSecond } from '../../runtime/token-bucket.ts';
import type { ServiceError } from '../wire/service-error.ts';
import type { Account } from './account.ts';
import { kinesisError } from './errors.ts';

/** Kinesis API: a subscription cannot be taken over before. */
const PROTECTED_MS = 5_000;

export interface SubscriptionKey {
  /** `removed` aborts when nobody may read through it any more. */
  readonly consumer: {
    readonly arn: string;
    readonly name: string;
    readonly streamName: string;
    readonly removed: AbortSignal;
  };
  readonly shardId: string;
}

export interface SubscriptionsOptions {
  readonly account: Account;
  /** Monotonic, milliseconds. */
  readonly nowMs: () => number;
  /** Of one consumer and shard; Infinity: no limit. */
  readonly bytesPerSecond: number;
}

export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #held = new Map<string, Subscription>();
  #isClosed = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#held.size;
  }

  /**
   * Takes over from an older subscription of the consumer and shard. Throws ResourceInUseException while that one is
   * younger than five seconds. The caller releases what it gets.
   */
  claim(of: SubscriptionKey): Subscription {
    const { account, nowMs, bytesPerSecond } = this.#options;
    const key = `${of.consumer.arn}\0${of.shardId}`;
    const inUse = (): ServiceError => anotherActive(account, of);
    const older = this.#held.get(key);
    if (older !== undefined && nowMs() - older.sinceMs < PROTECTED_MS) throw inUse();
    older?.end(inUse());
    const subscription = new Subscription(
      of,
      nowMs(),
      {
        bucket: new TokenBucket(perSecond(bytesPerSecond), nowMs()),
        nowMs,
      },
      () => {
        if (this.#held.get(key) === subscription) this.#held.delete(key);
      },
    );
    this.#held.set(key, subscription);
    if (this.#isClosed) subscription.end(null);
    return subscription;
  }

  /** Ends all without an error: clients come again. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of this.#held.values()) subscription.end(null);
  }
}

interface Pace {
  readonly bucket: TokenBucket;
  readonly nowMs: () => number;
}

export class Subscription {
  readonly sinceMs: number;
  readonly #pace: Pace;
  readonly #ending = new AbortController();
  readonly #removed: AbortSignal;
  readonly #onReleased: () => void;
  readonly #onRemoved: () => void;
  #failure: ServiceError | null = null;

  constructor({ consumer }: SubscriptionKey, sinceMs: number, pace: Pace, onReleased: () => void) {
    this.sinceMs = sinceMs;
    this.#pace = pace;
    this.#onReleased = onReleased;
    this.#removed = consumer.removed;
    this.#onRemoved = () => {
      const text = `Consumer ${consumer.arn} was deregistered.`;
      this.end(kinesisError('ResourceNotFoundException', text));
    };
    if (consumer.removed.aborted) this.#onRemoved();
    else consumer.removed.addEventListener('abort', this.#onRemoved);
  }

  /** Aborts when it ends before its shard does. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Takes bytes of its rate; the milliseconds until more may be taken. */
  take(bytes: number): number {
    const { bucket, nowMs } = this.#pace;
    bucket.spend(bytes, nowMs());
    return bucket.waitMs(nowMs());
  }

  /** Why it ended; null: in peace. */
  get failure(): ServiceError | null {
    return this.#failure;
  }

  /** The first reason counts. */
  end(failure: ServiceError | null): void {
    if (this.signal.aborted) return;
    this.#failure = failure;
    this.#ending.abort();
  }

  release(): void {
    this.#removed.removeEventListener('abort', this.#onRemoved);
    this.#onReleased();
  }
}

function anotherActive({ accountId }: Account, { consumer, shardId }: SubscriptionKey): ServiceError {
  const place = `${accountId}:${consumer.streamName}:${shardId}:${consumer.name}`;
  return kinesisError(
    'ResourceInUseException',
    `Another active subscription exists for this consumer: ${place}`,
  );
}

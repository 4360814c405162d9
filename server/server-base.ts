// What every part of the server is built on.
import type { MetricsRegistry } from '../runtime/metrics.ts';
import type { Clock, Digest, Log } from '../stream/ports.ts';
import type { Account } from './kinesis/account.ts';

export interface ServerBase {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Monotonic, milliseconds. */
  readonly monotonicMs: () => number;
  readonly digest: Digest;
  readonly account: Account;
  readonly metrics: MetricsRegistry;
  readonly log: Log;
}

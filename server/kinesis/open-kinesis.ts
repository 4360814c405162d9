// Builds the service that AWS clients talk to, for the composition root.
import type { Access } from '../access/open-access.ts';
import { openSecret } from '../access/server-secrets.ts';
import type { ServerConfig } from '../config.ts';
import type { ServerBase } from '../server-base.ts';
import type { ServerStore } from '../server-store.ts';
import type { AwsService } from '../wire/operation.ts';
import { authorizeKey, kinesisAuthorize } from './authorize.ts';
import { CallLimits } from './call-limits.ts';
import { kinesisService } from './kinesis-service.ts';
import type { Streams } from './open-streams.ts';
import { TokenSigner } from './page-token.ts';
import { StreamEncryption } from './stream-encryption.ts';
import { Subscriptions } from './subscriptions.ts';

export interface Kinesis {
  readonly service: AwsService;
  /** Closed before the doors: what is pushed never ends by itself. */
  readonly subscriptions: Subscriptions;
}

export async function openKinesis(
  { limits }: ServerConfig,
  { account, clock, digest, monotonicMs }: ServerBase,
  { store, sealer, records, named, streamKeys }: ServerStore,
  streams: Streams,
  access: Access,
): Promise<Kinesis> {
  const subscriptions = new Subscriptions({
    account,
    nowMs: monotonicMs,
    bytesPerSecond: streams.meters.limits.pushBytesPerSecond,
  });
  const service = kinesisService({
    ...streams,
    account,
    clock,
    digest,
    records,
    log: store.log,
    subscriptions,
    encryption: new StreamEncryption({
      named,
      data: streamKeys,
      authorizeKey: (caller, action, arn) => authorizeKey(access, caller, action, arn),
    }),
    tokens: new TokenSigner(await openSecret(store.meta, sealer, 'iterators')),
    calls: new CallLimits(limits.profile, limits.calls, { account, now: monotonicMs }),
    authorize: kinesisAuthorize(access),
    audit: access.audit,
  });
  return { service, subscriptions };
}

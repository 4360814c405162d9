// The service without its wire: the context its operations work with, over any store.
import { nodeDigest } from '../runtime/digest.ts';
import { MetricsRegistry } from '../runtime/metrics.ts';
import type { Caller } from '../server/access/caller.ts';
import { rootOf } from '../server/access/principal.ts';
import { accountLimits } from '../server/kinesis/account-limits.ts';
import { AccountSettings } from '../server/kinesis/account-settings.ts';
import { CallLimits } from '../server/kinesis/call-limits.ts';
import type { KinesisContext } from '../server/kinesis/context.ts';
import { getRecords } from '../server/kinesis/operations/get-records.ts';
import { getShardIterator } from '../server/kinesis/operations/get-shard-iterator.ts';
import { StateDelay } from '../server/kinesis/state-delay.ts';
import { Consumers } from '../server/kinesis/consumers.ts';
import { shardLimits } from '../server/kinesis/shard-limits.ts';
import { ShardMeters } from '../server/kinesis/shard-meter.ts';
import { NamedKeys } from '../server/kinesis/named-keys.ts';
import type { NamedKeysParts } from '../server/kinesis/named-keys.ts';
import { TokenSigner } from '../server/kinesis/page-token.ts';
import { StreamEncryption } from '../server/kinesis/stream-encryption.ts';
import type { StreamEncryptionParts } from '../server/kinesis/stream-encryption.ts';
import { StreamCatalog } from '../server/kinesis/stream-catalog.ts';
import { Subscriptions } from '../server/kinesis/subscriptions.ts';
import { openTraffic } from '../server/kinesis/traffic.ts';
import { JSON_CODEC } from '../server/wire/json-codec.ts';
import { RecordLog } from '../storage/record-log.ts';
import { Keyring } from '../storage/seal/keyring.ts';
import { sealStore } from '../storage/seal/seal-store.ts';
import { StreamKeys } from '../storage/seal/stream-keys.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import type { Clock, Log, Store } from '../stream/ports.ts';

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  notice: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

export const ACCOUNT = { accountId: '000000000000', region: 'us-east-1' };

export const CALLER: Caller = {
  accessKeyId: 'test',
  principal: rootOf('000000000000'),
  sourceAddress: '127.0.0.1',
  isSecure: false,
  requestId: 'test',
};

export interface ContextOptions {
  readonly delay?: StateDelay;
  /** Of calls. */
  readonly profile?: 'aws' | 'off';
  readonly keys?: NamedKeysParts['configs'];
  readonly env?: Readonly<Record<string, string>>;
  readonly log?: Log;
  readonly authorizeKey?: StreamEncryptionParts['authorizeKey'];
}

export async function kinesisContext(
  unsealed: Store,
  clock: Clock,
  {
    delay = new StateDelay(0, silent),
    profile = 'off',
    keys = {},
    env = {},
    log = silent,
    authorizeKey = () => undefined,
  }: ContextOptions = {},
): Promise<KinesisContext> {
  const places = { keyFile: '/nonexistent', env };
  const named = new NamedKeys({ account: ACCOUNT, configs: keys, places, builtIn: Buffer.alloc(32, 3), log });
  const data = await StreamKeys.open({ meta: unsealed.meta, clock, masterOf: named.masterOf });
  const store = sealStore(unsealed, new Keyring(clock), nodeDigest, data);
  const limits = accountLimits({ profile: 'aws', shardsMax: 1_000, onDemandStreamsMax: 50 });
  const catalog = await StreamCatalog.open({
    store,
    clock,
    digest: nodeDigest,
    account: ACCOUNT,
    limits,
    delay,
  });
  await data.follow(
    (streamId) => catalog.byId(streamId)?.encryption?.key,
    (streamId) => catalog.isLasting(streamId),
  );
  catalog.beforeGone((row) => data.removeOf(row.id));
  const settings = await AccountSettings.open(store.meta, clock);
  return {
    account: ACCOUNT,
    catalog,
    consumers: await Consumers.open({ meta: store.meta, catalog, clock, account: ACCOUNT, delay, settings }),
    settings,
    encryption: new StreamEncryption({ named, data, authorizeKey }),
    subscriptions: new Subscriptions({
      account: ACCOUNT,
      nowMs: () => Number(clock.monotonicUs() / 1000n),
      bytesPerSecond: Infinity,
    }),
    records: new RecordLog(store.log, openRunIdentity(), clock, nodeDigest),
    log: store.log,
    tokens: new TokenSigner(Buffer.alloc(32, 7)),
    clock,
    digest: nodeDigest,
    traffic: openTraffic(new MetricsRegistry()),
    meters: new ShardMeters(shardLimits('off', {}), () => clock.wallMs()),
    calls: new CallLimits(profile, {}, { account: ACCOUNT, now: () => clock.wallMs() }),
    authorize: () => undefined,
    audit: { around: (_entry, run) => run() },
  };
}

export interface ReadPage {
  readonly Records: readonly {
    readonly Data: string;
    readonly PartitionKey: string;
    readonly SequenceNumber: string;
  }[];
  readonly NextShardIterator?: string;
  readonly ChildShards?: readonly { readonly ShardId: string; readonly ParentShards: readonly string[] }[];
}

export async function iteratorAt(
  context: KinesisContext,
  StreamName: string,
  ShardId: string,
): Promise<string> {
  const input = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
  return ((await getShardIterator(input, context)) as { ShardIterator: string }).ShardIterator;
}

export async function readPage(
  context: KinesisContext,
  ShardIterator: string,
  Limit: number,
): Promise<ReadPage> {
  return (await asJson(getRecords({ ShardIterator, Limit }, context, CALLER))) as ReadPage;
}

/** A reply as a client parses it. */
export async function asJson(reply: Promise<object | undefined>): Promise<unknown> {
  return JSON.parse(String(JSON_CODEC.write((await reply) ?? {})));
}

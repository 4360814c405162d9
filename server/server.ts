// The composition root of the central program: builds every part, in the order the data needs them, and closes them
// in the other. It reads no arguments and ends no process; program.ts does.
import { readFileSync } from 'node:fs';
import { systemClock } from '../runtime/clock.ts';
import { codecFor } from '../runtime/codecs.ts';
import { openDataFolder } from '../runtime/data-folder.ts';
import { keySettingOf } from '../runtime/encryption-config.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { DisposeStack } from '../runtime/dispose-stack.ts';
import { lockFolder } from '../runtime/folder-lock.ts';
import { MetricsRegistry } from '../runtime/metrics.ts';
import { repeat } from '../runtime/repeat.ts';
import { guardStore } from '../runtime/storage-guard.ts';
import { KEYS_PREFIX } from '../storage/seal/key-table.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import { sealStore } from '../storage/seal/seal-store.ts';
import { STREAM_KEYS_PREFIX, StreamKeys } from '../storage/seal/stream-keys.ts';
import { rememberFailure } from '../storage/verify/store-probe.ts';
import { openStore } from '../storage/salvage/store-recovery.ts';
import { TributaryError } from '../stream/errors.ts';
import type { Log } from '../stream/ports.ts';
import { installAccessKeys } from './access/install-access-keys.ts';
import { openAccess } from './access/open-access.ts';
import { openSecret } from './access/server-secrets.ts';
import { stsHandler } from './access/sts.ts';
import { USERS_PREFIX } from './access/users.ts';
import { certificateOf, followCertificate } from './certificate.ts';
import type { ServerConfig } from './config.ts';
import { enrolHandler } from './fleet/enrol-endpoint.ts';
import { EnrolmentCodes } from './fleet/enrolment-codes.ts';
import { fleetRoutes } from './fleet/fleet-api.ts';
import { GatewayRegistry } from './fleet/gateway-registry.ts';
import { GuessLimit } from './fleet/guess-limit.ts';
import { LaneQuota } from './fleet/lane-quota.ts';
import { openServerIdentity } from './fleet/server-identity.ts';
import { accountLimits } from './kinesis/account-limits.ts';
import { AccountSettings } from './kinesis/account-settings.ts';
import { CallLimits } from './kinesis/call-limits.ts';
import { Consumers } from './kinesis/consumers.ts';
import { authorizeKey, kinesisAuthorize } from './kinesis/authorize.ts';
import { kinesisService } from './kinesis/kinesis-service.ts';
import { NamedKeys } from './kinesis/named-keys.ts';
import { TokenSigner } from './kinesis/page-token.ts';
import { resourceFacts } from './kinesis/resource-facts.ts';
import { kinesisStorageError } from './kinesis/storage-error.ts';
import { StateDelay } from './kinesis/state-delay.ts';
import { shardLimits } from './kinesis/shard-limits.ts';
import { ShardMeters } from './kinesis/shard-meter.ts';
import { observeHeat } from './kinesis/shard-heat.ts';
import { ShardPruner } from './kinesis/shard-pruner.ts';
import { ShardScaler } from './kinesis/shard-scaler.ts';
import { StreamEncryption } from './kinesis/stream-encryption.ts';
import { StreamCatalog } from './kinesis/stream-catalog.ts';
import { Subscriptions } from './kinesis/subscriptions.ts';
import { openTraffic } from './kinesis/traffic.ts';
import { routeRequests } from './router.ts';
import { observeServer } from './server-metrics.ts';
import { serveSessions } from './serve-sessions.ts';
import { StreamIngest } from './stream-ingest.ts';
import { openSyncEndpoint } from './sync-endpoint.ts';
import { openVault } from './vault.ts';
import { awsRpcHandler } from './wire/aws-rpc.ts';
import { apiHandler } from './wire/json-api.ts';
import type { HttpHandlers } from './wire/http-servers.ts';
import { openListener } from './wire/listener.ts';
import type { Listener } from './wire/listener.ts';

export interface ServerOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  /** The disk failed: nothing more is acknowledged, and only a new start can recover. */
  readonly onStorageFailed: (error: Error) => void;
}

export interface RunningServer {
  readonly httpUrl: string;
  readonly port: number;
  /** When TLS is configured. */
  readonly httpsUrl: string | undefined;
  /** Stops accepting, finishes what is under way within a bound, closes the store. Idempotent. */
  close(): Promise<void>;
}

export function openServer(config: ServerConfig, options: ServerOptions): Promise<RunningServer> {
  return DisposeStack.building((parts) => build(config, options, parts));
}

async function build(
  config: ServerConfig,
  { env, log, onStorageFailed }: ServerOptions,
  parts: DisposeStack,
): Promise<RunningServer> {
  const clock = systemClock;
  const digest = nodeDigest;
  const metrics = new MetricsRegistry();
  const account = { accountId: config.accountId, region: config.region };
  const monotonicMs = (): number => Number(clock.monotonicUs() / 1000n);

  // What is kept.
  const folder = openDataFolder(config.dataFolder, 'server');
  parts.use(await lockFolder(folder.path));
  const vault = openVault(folder, keySettingOf(config.encryption), env);
  const disk = parts.use(
    await openStore({
      path: folder.storeFile,
      clock,
      onDamage: config.storage.onDamage,
      log: log.child('storage'),
      admit: vault.admit,
      copied: KEPT_TWICE,
    }),
  );
  const sealer = await vault.attach(disk.meta);
  let isHealthy = true;
  const named = new NamedKeys({
    account,
    configs: config.keys,
    places: { keyFile: folder.keyFile, env },
    builtIn: await openSecret(disk.meta, sealer, 'kinesis-key'),
    log: log.child('keys'),
  });
  const streamKeys = await StreamKeys.open({ meta: disk.meta, clock, masterOf: named.masterOf });
  const store = guardStore(sealStore(disk, vault.keyring, digest, streamKeys), (error) => {
    isHealthy = false;
    rememberFailure(folder.storeFile);
    onStorageFailed(error);
  });
  const damaged = metrics.counter(
    'tributary_damaged_records_total',
    'Records that readers passed over because their block is damaged on the disk',
  );
  const records = new RecordLog(store.log, openRunIdentity(), clock, digest, {
    clockSync: () => 'unknown',
    pendingBytesMax: config.limits.pendingBytesMax,
    compression: codecFor(config.storage.compression),
    onDamaged: ({ ref, recordCount, error }) => {
      damaged.add(recordCount);
      log.error('damaged records are passed over', { ...ref, records: recordCount, reason: error.message });
    },
  });
  parts.defer(() => records.flush());
  const delay = parts.use(new StateDelay(config.limits.stateDelayMs, log.child('kinesis')));
  const limits = accountLimits(config.limits);
  const catalog = await StreamCatalog.open({ store, clock, digest, account, limits, delay });
  await streamKeys.follow(
    (streamId) => catalog.byId(streamId)?.encryption?.key,
    (streamId) => catalog.byId(streamId) !== undefined,
  );
  catalog.beforeGone((row) => streamKeys.removeOf(row.id));
  const settings = await AccountSettings.open(store.meta, clock);
  const consumers = await Consumers.open({ meta: store.meta, catalog, clock, account, delay, settings });

  const meters = new ShardMeters(shardLimits(config.limits.profile, config.limits.shard), monotonicMs);
  const traffic = openTraffic(metrics);
  const kinesisLog = log.child('kinesis');
  const scaler = new ShardScaler({ catalog, meters, now: monotonicMs, log: kinesisLog });
  parts.use(repeat('scaling', SCALING_INTERVAL_MS, () => scaler.look(), kinesisLog));
  const pruner = new ShardPruner({ catalog, log: store.log, clock, meters, now: monotonicMs });
  parts.use(repeat('pruning', PRUNING_INTERVAL_MS, () => pruner.look(), kinesisLog));

  // Who may do what.
  const keys = await installAccessKeys(store.meta, sealer, folder.path, env, log);
  const access = await openAccess(
    {
      ...account,
      ...resourceFacts(catalog, consumers),
      dataFolder: folder.path,
      meta: store.meta,
      sealer,
      clock,
      keys,
      auth: config.auth,
      metrics,
      log: log.child('access'),
    },
    parts,
  );
  const { verify, audit } = access;
  const tokens = new TokenSigner(await openSecret(store.meta, sealer, 'iterators'));

  // Gateways.
  const fleetLog = log.child('fleet');
  const received = metrics.counter('tributary_sync_records_total', 'Records that gateways delivered');
  const registry = await GatewayRegistry.open(store.meta, sealer, clock, fleetLog, {
    gatewaysMax: config.limits.gatewaysMax,
    onReceived: (count) => received.add(count),
  });
  const identity = await openServerIdentity(store.meta, sealer);
  const codes = new EnrolmentCodes(store.meta, clock, registry, {
    fingerprint: identity.fingerprint,
    hashKey: await openSecret(store.meta, sealer, 'enrolment-codes'),
  });
  const guesses = new GuessLimit(monotonicMs);
  const arnPrefix = `arn:aws:tributary:${account.region}:${account.accountId}`;
  const enrol = enrolHandler({ codes, identity, guesses, audit, arnPrefix, log: fleetLog });
  const routes = [...fleetRoutes({ registry, codes, arnPrefix }), ...access.routes];
  const api = apiHandler(routes, { ...access, log: fleetLog });
  const syncLog = log.child('sync');
  const quota = new LaneQuota(monotonicMs);
  const target = new StreamIngest({ catalog, log: store.log, digest, quota, meters, traffic });
  const onSession = serveSessions({ directory: registry, target, identity, digest, clock, log: syncLog });
  const sync = openSyncEndpoint(onSession, { log: syncLog, now: monotonicMs });

  // The service APIs.
  const subscriptions = new Subscriptions({
    account,
    nowMs: monotonicMs,
    bytesPerSecond: meters.limits.pushBytesPerSecond,
  });
  const kinesis = kinesisService({
    account,
    catalog,
    consumers,
    settings,
    encryption: new StreamEncryption({
      named,
      data: streamKeys,
      authorizeKey: (caller, action, arn) => authorizeKey(access, caller, action, arn),
    }),
    subscriptions,
    records,
    log: store.log,
    tokens,
    clock,
    digest,
    traffic,
    meters,
    calls: new CallLimits(config.limits.profile, config.limits.calls, { account, now: monotonicMs }),
    authorize: kinesisAuthorize(access),
    audit,
  });
  const aws = awsRpcHandler({
    services: [kinesis],
    verify,
    log: log.child('aws'),
    mapError: kinesisStorageError,
  });

  // The door, last: whoever comes in finds everything in place.
  observeHeat(metrics, catalog, meters);
  observeServer(metrics, { store, records, catalog, subscriptions, sync, registry });
  const handlers: HttpHandlers = {
    onRequest: routeRequests({
      aws,
      enrol,
      api,
      sts: stsHandler({ ...access, log: log.child('sts') }),
      metrics,
      metricsToken: metricsToken(config),
      isHealthy: () => isHealthy,
    }),
    onUpgrade: (request, socket, head) => sync.upgrade(request, socket, head),
  };
  const plain = await openListener({ ...config.http, ...handlers });
  let secure: Listener | null = null;
  // Together: the listeners wait for their sockets, and the gateways' and subscribers' are among them.
  parts.defer(async () => {
    subscriptions.close();
    await Promise.all([plain.close(), secure?.close(), sync.close()]);
  });
  if (config.tls !== undefined) {
    const { port } = config.tls;
    const tls = certificateOf(config.tls, folder.path, config.http.host);
    const listener = await openListener({ ...config.http, port, tls, ...handlers });
    secure = listener;
    parts.use(followCertificate(config.tls, (given) => listener.renew(given), log.child('tls')));
  }
  return {
    httpUrl: plain.url,
    port: plain.port,
    httpsUrl: secure?.url,
    close: () => parts.close(),
  };
}

const SCALING_INTERVAL_MS = 5_000;
const PRUNING_INTERVAL_MS = 60_000;

/**
 * Without them sealed records could not be opened, nobody could sign, no gateway would be known, and no stream or consumer
 * found.
 */
const KEPT_TWICE = [
  KEYS_PREFIX,
  STREAM_KEYS_PREFIX,
  'secret/',
  'access-key/',
  USERS_PREFIX,
  'gateway/',
  'stream/',
  'consumer/',
  'account/',
];

function metricsToken({ metrics: { tokenFile } }: ServerConfig): string | undefined {
  if (tokenFile === undefined) return undefined;
  try {
    const token = readFileSync(tokenFile, 'utf8').trim();
    if (token !== '') return token;
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `metrics.tokenFile ${tokenFile} cannot be read`, { cause });
  }
  throw new TributaryError('CONFIG_INVALID', `metrics.tokenFile ${tokenFile} is empty; put a token in it`);
}

// Builds what gateways talk to: enrolment, their sessions, and the fleet's part of our own API, for the composition root.
import type { Access } from '../access/open-access.ts';
import { openSecret } from '../access/server-secrets.ts';
import type { ServerConfig } from '../config.ts';
import type { Streams } from '../kinesis/open-streams.ts';
import type { Handler } from '../router.ts';
import { serveSessions } from '../serve-sessions.ts';
import type { ServerBase } from '../server-base.ts';
import type { ServerStore } from '../server-store.ts';
import { StreamIngest } from '../stream-ingest.ts';
import { openSyncEndpoint } from '../sync-endpoint.ts';
import type { SyncEndpoint } from '../sync-endpoint.ts';
import type { ApiRoute } from '../wire/json-api.ts';
import { enrolHandler } from './enrol-endpoint.ts';
import { EnrolmentCodes } from './enrolment-codes.ts';
import { fleetRoutes } from './fleet-api.ts';
import { GatewayRegistry } from './gateway-registry.ts';
import { GuessLimit } from './guess-limit.ts';
import { LaneQuota } from './lane-quota.ts';
import { openServerIdentity } from './server-identity.ts';

export interface Fleet {
  readonly registry: GatewayRegistry;
  readonly enrol: Handler;
  readonly routes: readonly ApiRoute[];
  readonly sync: SyncEndpoint;
}

export async function openFleet(
  { limits }: ServerConfig,
  base: ServerBase,
  { store, sealer }: ServerStore,
  streams: Streams,
  { audit }: Access,
): Promise<Fleet> {
  const { account, clock, digest, metrics, monotonicMs } = base;
  const log = base.log.child('fleet');
  const received = metrics.counter('tributary_sync_records_total', 'Records that gateways delivered');
  const registry = await GatewayRegistry.open(store.meta, sealer, clock, log, {
    gatewaysMax: limits.gatewaysMax,
    onReceived: (count) => received.add(count),
  });
  const identity = await openServerIdentity(store.meta, sealer);
  const codes = new EnrolmentCodes(store.meta, clock, registry, {
    fingerprint: identity.fingerprint,
    hashKey: await openSecret(store.meta, sealer, 'enrolment-codes'),
  });
  const guesses = new GuessLimit(monotonicMs);
  const arnPrefix = `arn:aws:tributary:${account.region}:${account.accountId}`;
  const quota = new LaneQuota(monotonicMs);
  const target = new StreamIngest({ ...streams, log: store.log, digest, quota });
  const syncLog = base.log.child('sync');
  const onSession = serveSessions({ directory: registry, target, identity, digest, clock, log: syncLog });
  return {
    registry,
    enrol: enrolHandler({ codes, identity, guesses, audit, arnPrefix, log }),
    routes: fleetRoutes({ registry, codes, arnPrefix }),
    sync: openSyncEndpoint(onSession, { log: syncLog, now: monotonicMs }),
  };
}

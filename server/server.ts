// The composition root of the central program: builds every part, in the order the data needs them, and closes them
// in the other. It reads no arguments and ends no process; program.ts does.
import { readFileSync } from 'node:fs';
import { systemClock } from '../runtime/clock.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { DisposeStack } from '../runtime/dispose-stack.ts';
import { MetricsRegistry } from '../runtime/metrics.ts';
import { TributaryError } from '../stream/errors.ts';
import type { Log } from '../stream/ports.ts';
import { installAccessKeys } from './access/install-access-keys.ts';
import { openAccess } from './access/open-access.ts';
import { stsHandler } from './access/sts.ts';
import type { ServerConfig } from './config.ts';
import { openDoors } from './doors.ts';
import { openFleet } from './fleet/open-fleet.ts';
import { openKinesis } from './kinesis/open-kinesis.ts';
import { openStreams } from './kinesis/open-streams.ts';
import { resourceFacts } from './kinesis/resource-facts.ts';
import { kinesisStorageError } from './kinesis/storage-error.ts';
import { routeRequests } from './router.ts';
import type { ServerBase } from './server-base.ts';
import { observeServer } from './server-metrics.ts';
import { openServerStore } from './server-store.ts';
import { awsRpcHandler } from './wire/aws-rpc.ts';
import type { HttpHandlers } from './wire/http-servers.ts';
import { apiHandler } from './wire/json-api.ts';

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
  const metrics = new MetricsRegistry();
  const base: ServerBase = {
    env,
    log,
    clock,
    metrics,
    digest: nodeDigest,
    monotonicMs: () => Number(clock.monotonicUs() / 1000n),
    account: { accountId: config.accountId, region: config.region },
  };

  // What is kept, and the streams in it.
  const kept = await openServerStore(config, base, parts, onStorageFailed);
  const { folder, sealer, store } = kept;
  const streams = await openStreams(config, base, kept, parts);

  // Who may do what.
  const access = await openAccess(
    {
      ...base.account,
      ...resourceFacts(streams.catalog, streams.consumers),
      dataFolder: folder.path,
      meta: store.meta,
      sealer,
      clock,
      keys: await installAccessKeys(store.meta, sealer, folder.path, env, log),
      auth: config.auth,
      metrics,
      log: log.child('access'),
    },
    parts,
  );

  // Who comes: gateways, and clients of AWS.
  const fleet = await openFleet(config, base, kept, streams, access);
  const kinesis = await openKinesis(config, base, kept, streams, access);

  // The doors, last: whoever comes in finds everything in place.
  observeServer(metrics, { ...kept, ...streams, ...fleet, ...kinesis });
  const handlers: HttpHandlers = {
    onRequest: routeRequests({
      aws: awsRpcHandler({
        services: [kinesis.service],
        verify: access.verify,
        log: log.child('aws'),
        mapError: kinesisStorageError,
      }),
      enrol: fleet.enrol,
      api: apiHandler([...fleet.routes, ...access.routes], { ...access, log: log.child('fleet') }),
      sts: stsHandler({ ...access, log: log.child('sts') }),
      metrics,
      metricsToken: metricsToken(config),
      isHealthy: kept.isHealthy,
    }),
    onUpgrade: (request, socket, head) => fleet.sync.upgrade(request, socket, head),
  };
  const { plain, secure } = await openDoors(config, folder.path, handlers, log, parts, async () => {
    kinesis.subscriptions.close();
    await fleet.sync.close();
  });
  return {
    httpUrl: plain.url,
    port: plain.port,
    httpsUrl: secure?.url,
    close: () => parts.close(),
  };
}

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

// The composition root of the edge program: builds every part, from the log up to the sensors, and closes them in the
// other order. It reads no arguments and ends no process; cli/ does.
import { hostname } from 'node:os';
import { builtInProfiles } from '../devices/built-in-profiles.ts';
import { isClockSynchronized } from '../runtime/clock-sync.ts';
import { systemClock } from '../runtime/clock.ts';
import { codecFor, nodeCodecs } from '../runtime/codecs.ts';
import { openDataFolder } from '../runtime/data-folder.ts';
import { keySettingOf } from '../runtime/encryption-config.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { DisposeStack } from '../runtime/dispose-stack.ts';
import { lockFolder } from '../runtime/folder-lock.ts';
import { MetricsRegistry } from '../runtime/metrics.ts';
import { programVersion } from '../runtime/program-version.ts';
import { guardStore } from '../runtime/storage-guard.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import { sealStore } from '../storage/seal/seal-store.ts';
import { rememberFailure } from '../storage/verify/store-probe.ts';
import { openStore } from '../storage/salvage/store-recovery.ts';
import type { TributaryError } from '../stream/errors.ts';
import { PENDING_BYTES_MAX } from '../stream/limits.ts';
import type { Log } from '../stream/ports.ts';
import { ClockAnchors } from './clock-anchors.ts';
import type { GatewayConfig } from './config.ts';
import { observeGateway } from './gateway-metrics.ts';
import { IdentityStore } from './identity-store.ts';
import { Intake } from './intake.ts';
import { KEPT_TWICE } from './kept-twice.ts';
import { LocalLog } from './local-log.ts';
import { LogWear } from './log-wear.ts';
import { MqttBroker } from './mqtt/broker.ts';
import { SerialReader } from './serial/serial-reader.ts';
import { chooseServer } from './server-choice.ts';
import { ServerLink } from './server-link.ts';
import { openStatusServer } from './status-server.ts';
import { openVault } from './vault.ts';

/** Cursors of a quiet log are written this late: losing one costs a block sent again, writing it costs the card 20 KB. */
const CURSOR_MS_MAX = 30_000;

export interface GatewayOptions {
  readonly log: Log;
  /** The disk failed: nothing more is acknowledged, and only a new start can recover. */
  readonly onStorageFailed: (error: Error) => void;
  /** The server refuses the enrolment code for good. */
  readonly onRefused: (error: TributaryError) => void;
}

export interface RunningGateway {
  readonly mqttPort: number;
  /** Null: its port was in use. */
  readonly statusUrl: string | null;
  /** Stops the sources, finishes what is under way, closes the log. Idempotent. */
  close(): Promise<void>;
}

export function openGateway(config: GatewayConfig, options: GatewayOptions): Promise<RunningGateway> {
  return DisposeStack.building((parts) => build(config, options, parts));
}

async function build(
  config: GatewayConfig,
  { log, onStorageFailed, onRefused }: GatewayOptions,
  parts: DisposeStack,
): Promise<RunningGateway> {
  const clock = systemClock;
  const digest = nodeDigest;
  const metrics = new MetricsRegistry();
  const startedMs = clock.wallMs();

  // What is kept.
  const folder = openDataFolder(config.dataFolder, 'gateway');
  parts.use(await lockFolder(folder.path));
  const vault = openVault(folder, keySettingOf(config.encryption));
  const disk = parts.use(
    await openStore({
      path: folder.storeFile,
      clock,
      layout: 'perShard',
      lazyMs: CURSOR_MS_MAX,
      capBytes: config.log.capBytes,
      ageBy: config.log.ageWhilePoweredOff ? 'wall' : 'running',
      onDamage: config.log.onDamage,
      log: log.child('storage'),
      admit: vault.admit,
      copied: KEPT_TWICE,
    }),
  );
  const sealer = await vault.attach(disk.meta);
  const store = guardStore(sealStore(disk, vault.keyring, digest), (error) => {
    rememberFailure(folder.storeFile);
    onStorageFailed(error);
  });
  const identity = openRunIdentity();
  const anchors = parts.use(
    await ClockAnchors.open({
      meta: store.meta,
      clock,
      log: log.child('clock'),
      bootId: identity.bootId,
      isSynchronized: config.clock === 'system' ? () => true : isClockSynchronized,
    }),
  );
  const wear = parts.use(
    await LogWear.open({ store, clock, log: log.child('log') }, config.log.writtenBytesPerDay),
  );
  const records = new RecordLog(store.log, identity, clock, digest, {
    pace: wear,
    clockSync: () => anchors.state,
    makeRoom: (error) => local.makeRoom(error),
    pendingBytesMax: pendingBytesMax(config.log.capBytes),
    compression: codecFor(config.log.compression),
  });
  parts.defer(() => records.flush());
  const local: LocalLog = parts.use(
    await LocalLog.open(
      { store, records, run: identity.run, clock, digest, log: log.child('log') },
      config.log,
    ),
  );

  // Where it goes.
  const identities = await IdentityStore.open(store.meta, sealer);
  if (config.server !== undefined) await chooseServer(identities, config.server, log.child('uplink'));
  const link = parts.use(
    new ServerLink({
      source: local,
      identities,
      name: config.name ?? hostname(),
      programVersion: programVersion(),
      digest,
      codecs: nodeCodecs,
      compression: codecFor(config.log.compression),
      clock,
      random: Math.random,
      log: log.child('uplink'),
      onServerTime: (wallMs) => anchors.heard(wallMs),
      onRefused,
    }),
  );
  link.start();

  // Where it comes from, last: whoever sends finds everything in place.
  const intake = new Intake({
    log: local,
    routes: config.routes,
    profiles: builtInProfiles(digest),
    clock,
    digest,
  });
  const mqtt = parts.use(
    await MqttBroker.open(config.mqtt, {
      intake,
      notes: await local.recentNotes(),
      meta: store.meta,
      log: log.child('mqtt'),
      metrics,
      clock,
    }),
  );
  const serial = await Promise.all(
    config.serial.map(async (settings) =>
      parts.use(await SerialReader.open(settings, { intake, log: log.child('serial'), metrics, clock })),
    ),
  );

  // What people see of it.
  observeGateway(metrics, { store, storeFile: folder.storeFile, local, intake, link, wear });
  const status = await openStatusServer(config.status, {
    metrics,
    log: log.child('status'),
    status: async () => ({
      program: 'gateway',
      version: programVersion(),
      name: config.name ?? hostname(),
      startedAt: new Date(startedMs).toISOString(),
      link: link.status,
      clock: anchors.state,
      ...intake.counts,
      backlog: await local.backlog(),
      log: {
        capBytes: config.log.capBytes,
        ...store.usage(),
        ...wear.status,
        evicted: local.evictions(),
      },
      mqtt: { port: mqtt.port },
      serial: serial.map((reader) => reader.status),
    }),
  });
  if (status !== null) parts.use(status);
  // The first when it closes: who waits for company in a commit keeps its source open.
  parts.defer(() => void records.flush());
  return { mqttPort: mqtt.port, statusUrl: status?.url ?? null, close: () => parts.close() };
}

/** One commit takes what waits: it must stay small beside the log's cap. */
function pendingBytesMax(capBytes: number): number {
  return Math.min(PENDING_BYTES_MAX, Math.max(64 * 1024, capBytes / 20));
}

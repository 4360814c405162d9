// A server, a gateway's log and a link between them, all real but in one process, with disks that can be copied and
// put back: the world in which the seeded simulation of the link plays.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Relay } from '../../cli/demo/relay.ts';
import { KEPT_TWICE } from '../../gateway/kept-twice.ts';
import { IdentityStore } from '../../gateway/identity-store.ts';
import { resetIdentity } from '../../gateway/identity-reset.ts';
import { LocalLog } from '../../gateway/local-log.ts';
import { openVault } from '../../gateway/vault.ts';
import { ServerLink } from '../../gateway/server-link.ts';
import { systemClock } from '../../runtime/clock.ts';
import { codecFor, nodeCodecs } from '../../runtime/codecs.ts';
import type { Compression } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { dataFolderOf } from '../../runtime/data-folder.ts';
import type { KeySetting } from '../../runtime/master-key.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import { serverConfig } from '../../server/config.ts';
import { openServer } from '../../server/server.ts';
import type { RunningServer } from '../../server/server.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import { openStore } from '../../storage/salvage/store-recovery.ts';
import { sealStore } from '../../storage/seal/seal-store.ts';
import { FOLDER_KEY } from '../../storage/seal/vault.ts';
import { PENDING_BYTES_MAX } from '../../stream/limits.ts';
import type { Codec, Store } from '../../stream/ports.ts';
import type { RecordClass } from '../../stream/record.ts';

const KEYS = { accessKeyId: 'SIMULATION', secretAccessKey: 'not a secret' };
const quiet = openLog('simulation', { level: 'error', write: (line) => lines.push(line) });
/** What the programs logged at level error. */
export const lines: string[] = [];

export class ServerSide {
  readonly #folder: string;
  readonly #isSealed: boolean;
  #running: RunningServer | null = null;
  #port = 0;

  constructor(folder: string, isSealed = false) {
    this.#folder = folder;
    this.#isSealed = isSealed;
  }

  get url(): string {
    return this.#running?.httpUrl ?? '';
  }

  async start(): Promise<void> {
    const config = serverConfig.parse({
      limits: { profile: 'off' },
      dataFolder: this.#folder,
      http: { port: this.#port, drainMs: 200 },
      encryption: { provider: this.#isSealed ? 'file' : 'off' },
    });
    const env = {
      TRIBUTARY_ACCESS_KEY_ID: KEYS.accessKeyId,
      TRIBUTARY_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    };
    this.#running = await openServer(config, {
      env,
      log: quiet,
      onStorageFailed: (error) => {
        throw error;
      },
    });
    this.#port = this.#running.port;
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    this.#running = null;
  }

  copyTo(folder: string): void {
    copyFolder(this.#folder, folder);
  }

  restoreFrom(folder: string): void {
    copyFolder(folder, this.#folder);
  }

  get storeFile(): string {
    return join(this.#folder, 'server.mdb');
  }

  /** Everything it had is gone. */
  lose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async enrolmentCode(): Promise<string> {
    const answer = await this.#api('POST', '/api/v1/enrolment-codes', '{}');
    return (JSON.parse(answer) as { code: string }).code;
  }

  async events(): Promise<string[]> {
    const answer = JSON.parse(await this.#api('GET', '/api/v1/gateways', '')) as {
      gateways: { events: { kind: string }[] }[];
    };
    return answer.gateways.flatMap(({ events }) => events.map(({ kind }) => kind));
  }

  async removeGateways(): Promise<void> {
    const answer = JSON.parse(await this.#api('GET', '/api/v1/gateways', '')) as {
      gateways: { id: string }[];
    };
    for (const { id } of answer.gateways) await this.#api('DELETE', `/api/v1/gateways/${id}`, '');
  }

  /** Every record of a stream, in the order of its only shard. */
  async readAll(stream: string): Promise<string[]> {
    const ShardId = 'shardId-000000000000';
    const input = { StreamName: stream, ShardId, ShardIteratorType: 'TRIM_HORIZON' };
    let iterator = (await this.#kinesis('GetShardIterator', input)).ShardIterator;
    const texts: string[] = [];
    for (;;) {
      const page = await this.#kinesis('GetRecords', { ShardIterator: iterator, Limit: 1000 });
      texts.push(...(page.Records ?? []).map(({ Data }) => Buffer.from(Data, 'base64').toString()));
      if (page.NextShardIterator === undefined || page.MillisBehindLatest === 0) return texts;
      iterator = page.NextShardIterator;
    }
  }

  async #kinesis(operation: string, input: object): Promise<KinesisAnswer> {
    const text = await this.#send('kinesis', 'POST', '/', JSON.stringify(input), {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `Kinesis_20131202.${operation}`,
    });
    return JSON.parse(text) as KinesisAnswer;
  }

  #api(method: string, path: string, body: string): Promise<string> {
    return this.#send('tributary', method, path, body, { 'content-type': 'application/json' });
  }

  async #send(
    service: string,
    method: string,
    path: string,
    body: string,
    headers: Record<string, string>,
  ): Promise<string> {
    const url = new URL(path, this.url);
    const unsigned = { method, url: url.href, headers: { ...headers, host: url.host }, body };
    const signed = signRequest(unsigned, KEYS, { region: 'us-east-1', service, now: Date.now() });
    const response = await fetch(url, { method, headers: signed, ...(body === '' ? {} : { body }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text;
  }
}

interface KinesisAnswer {
  readonly ShardIterator: string;
  readonly NextShardIterator?: string;
  readonly MillisBehindLatest?: number;
  readonly Records?: readonly { readonly Data: string }[];
}

interface OpenGateway {
  readonly store: Store;
  readonly records: RecordLog;
  readonly local: LocalLog;
  readonly link: ServerLink;
}

export interface GatewaySettings {
  readonly capBytes?: number;
  /** Encryption at rest. */
  readonly isSealed?: boolean;
  readonly compression?: Compression;
}

export class GatewaySide {
  readonly #folder: string;
  readonly #capBytes: number;
  readonly #compression: Codec | undefined;
  readonly #sealWith: KeySetting | null;
  #open: OpenGateway | null = null;

  constructor(
    folder: string,
    { capBytes = 1024 ** 3, compression = 'auto', isSealed = false }: GatewaySettings = {},
  ) {
    this.#folder = folder;
    this.#sealWith = isSealed ? FOLDER_KEY : null;
    this.#capBytes = capBytes;
    this.#compression = codecFor(compression);
  }

  async start(serverUrl: string, code?: string): Promise<void> {
    mkdirSync(this.#folder, { recursive: true });
    const folder = dataFolderOf(this.#folder, 'gateway');
    const vault = openVault(folder, this.#sealWith);
    const disk = await openStore({
      path: folder.storeFile,
      clock: systemClock,
      layout: 'perShard',
      onDamage: 'salvage',
      log: quiet,
      capBytes: this.#capBytes,
      admit: vault.admit,
      copied: KEPT_TWICE,
    });
    const sealer = await vault.attach(disk.meta);
    const store = sealStore(disk, vault.keyring, nodeDigest);
    const identity = openRunIdentity();
    const records = new RecordLog(store.log, identity, systemClock, nodeDigest, {
      clockSync: () => 'unknown',
      pendingBytesMax: PENDING_BYTES_MAX,
      compression: this.#compression,
      makeRoom: (error) => local.makeRoom(error),
    });
    const local: LocalLog = await LocalLog.open(
      { store, records, run: identity.run, clock: systemClock, digest: nodeDigest, log: quiet },
      {
        capBytes: this.#capBytes,
        acknowledgedRetentionMs: 3_600_000,
        whenFull: 'drop-oldest-of-lowest-class',
        retentionMs: null,
      },
    );
    const identities = await IdentityStore.open(store.meta, sealer);
    if (code !== undefined) await identities.prepare(code, serverUrl);
    const link = new ServerLink({
      source: local,
      identities,
      name: 'simulated',
      programVersion: 'simulation',
      digest: nodeDigest,
      codecs: nodeCodecs,
      compression: this.#compression,
      clock: systemClock,
      random: () => 0.02,
      log: quiet,
      onServerTime: () => undefined,
      onRefused: (error) => {
        throw error;
      },
    });
    link.start();
    this.#open = { store, records, local, link };
  }

  async stop(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    await open.link.close();
    await open.local.close();
    await open.records.flush();
    await open.store.close();
  }

  append(
    stream: string,
    recordClass: RecordClass,
    partitionKey: string,
    texts: readonly string[],
  ): Promise<void> {
    const records = texts.map((text) => ({ partitionKey, data: Buffer.from(text) }));
    if (this.#open === null) throw new Error('the gateway is stopped');
    return this.#open.local.append({ stream, class: recordClass, forward: true }, records, {});
  }

  get linkState(): string {
    const status = this.#open?.link.status;
    return status === undefined ? 'stopped' : `${status.state} ${status.reason?.code ?? ''}`.trim();
  }

  get unsentRecords(): number {
    return this.#open?.local.unsentRecords ?? 0;
  }

  get fileBytes(): number {
    return this.#open?.store.usage().fileBytes ?? 0;
  }

  /** Of a damaged log that was repaired. */
  get lostRecords(): number {
    return this.#open?.store.usage().lostRecords ?? 0;
  }

  get evictedRecords(): number {
    return this.#open?.local.evictedRecords ?? 0;
  }

  copyTo(folder: string): void {
    copyFolder(this.#folder, folder);
  }

  restoreFrom(folder: string): void {
    copyFolder(folder, this.#folder);
  }

  get storeFile(): string {
    return join(this.#folder, 'gateway.mdb');
  }

  async resetIdentity(): Promise<void> {
    await resetIdentity(this.#folder);
  }

  /** Flips a bit behind a text that is in the log once. */
  damage(text: string): void {
    const path = join(this.#folder, 'gateway.mdb');
    const bytes = readFileSync(path);
    const at = bytes.indexOf(text);
    bytes[at + 100] = (bytes[at + 100] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }
}

export interface World {
  readonly server: ServerSide;
  readonly gateway: GatewaySide;
  readonly relay: Relay;
  /** Everything is acknowledged. */
  readonly delivered: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Both sides started and joined through a relay; the gateway is enrolled. */
export async function openWorld(folder: string, settings?: GatewaySettings): Promise<World> {
  const server = new ServerSide(join(folder, 'server'), settings?.isSealed);
  await server.start();
  const relay = await Relay.open(server.url);
  const gateway = new GatewaySide(join(folder, 'gateway'), settings);
  await gateway.start(relay.url, await server.enrolmentCode());
  await until(() => gateway.linkState === 'online');
  return {
    server,
    gateway,
    relay,
    delivered: () => until(() => gateway.linkState === 'online' && gateway.unsentRecords === 0),
    close: async () => {
      await gateway.stop();
      await server.stop();
      await relay.close();
    },
  };
}

/** Waits for what must come, whatever the machine's load; the test's own timeout is the bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

function copyFolder(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, filter: (path) => !path.includes('.lock') });
}

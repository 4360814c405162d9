// Goal: the product's one sentence. Numbered readings of real publishers and of a serial line are at the centre exactly
// once and in order, while the gateway and the server are killed and the link is cut. Method: real processes, a seeded
// schedule, and the AWS CLI as the reader. A failure prints its seed; run it again with
// SEED=<seed> npx vitest run --project fault exactly-once
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { randomOf } from '../seeded-random.ts';
import { Relay } from '../../cli/demo/relay.ts';
import {
  CREDENTIALS,
  run,
  runCli,
  startGateway,
  startServer,
  stopAll,
  temporaryFolder,
} from '../processes.ts';
import type { RunningGateway, RunningServer } from '../processes.ts';
import { needs } from '../tools.ts';

const seed = Number(process.env['SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
const LINK_CUT_MS = 30_000;
const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await stopAll();
});

/** What runs, by the names the schedule uses; restarts replace the processes. */
class Site {
  readonly relay: Relay;
  readonly #random: () => number;
  server: RunningServer;
  gateway: RunningGateway;

  private constructor(server: RunningServer, gateway: RunningGateway, relay: Relay, random: () => number) {
    this.server = server;
    this.gateway = gateway;
    this.relay = relay;
    this.#random = random;
  }

  static async open(random: () => number, parameters: readonly string[] = []): Promise<Site> {
    const server = await startServer();
    const relay = await Relay.open(server.httpUrl);
    const code = await runCli(['enrol-code', '--server', server.httpUrl], { env: keys() });
    const enrol = code.stdout.trim().split('\n').at(-1) ?? '';
    const gateway = await startGateway({
      parameters: ['--server', relay.url, '--enrol', enrol, ...parameters],
    });
    return new Site(server, gateway, relay, random);
  }

  /** Between `low` and `high` milliseconds, by the seed. */
  async pass(low: number, high: number): Promise<void> {
    await sleep(low + this.#random() * (high - low));
  }

  async killGateway(): Promise<void> {
    await this.gateway.kill('SIGKILL');
    await this.pass(0, 300);
    this.gateway = await this.gateway.restart();
  }

  async killServer(): Promise<void> {
    await this.server.kill('SIGKILL');
    await this.pass(0, 1_000);
    this.server = await this.server.restart();
  }

  async status(): Promise<GatewayStatus> {
    const response = await fetch(`${this.gateway.statusUrl}/status`);
    return (await response.json()) as GatewayStatus;
  }

  async delivered(): Promise<void> {
    for (;;) {
      const { backlog, link } = await this.status();
      if (backlog.records === 0 && link.state === 'online') return;
      await sleep(100);
    }
  }

  async close(): Promise<void> {
    expect((await this.gateway.kill('SIGTERM')).code).toBe(0);
    expect((await this.server.kill('SIGTERM')).code).toBe(0);
    await this.relay.close();
  }
}

interface GatewayStatus {
  readonly records: number;
  readonly backlog: { readonly records: number };
  readonly link: { readonly state: string };
}

function keys(): Record<string, string> {
  return {
    TRIBUTARY_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    TRIBUTARY_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  };
}

interface Reading {
  readonly key: string;
  readonly text: string;
}

/** All records of the stream by the AWS CLI, page by page, shard by shard. */
async function readWithAws(httpUrl: string, stream: string): Promise<Reading[]> {
  const aws = async (...parameters: string[]): Promise<Record<string, unknown>> => {
    const env = {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_DEFAULT_REGION: 'us-east-1',
      HOME: temporaryFolder('home'),
    };
    const all = ['--endpoint-url', httpUrl, '--output', 'json', 'kinesis', ...parameters];
    const { code, stdout, stderr } = await run('aws', all, { env });
    if (code !== 0) throw new Error(`aws ${parameters.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const readings: Reading[] = [];
  const { Shards } = (await aws('list-shards', '--stream-name', stream)) as { Shards: { ShardId: string }[] };
  for (const { ShardId } of Shards) {
    const where = ['--stream-name', stream, '--shard-id', ShardId, '--shard-iterator-type', 'TRIM_HORIZON'];
    let iterator = String((await aws('get-shard-iterator', ...where))['ShardIterator']);
    for (;;) {
      const page = (await aws('get-records', '--shard-iterator', iterator)) as unknown as Page;
      for (const { PartitionKey, Data } of page.Records) {
        readings.push({ key: PartitionKey, text: Buffer.from(Data, 'base64').toString() });
      }
      if (page.Records.length === 0 && page.MillisBehindLatest === 0) break;
      iterator = page.NextShardIterator;
    }
  }
  return readings;
}

interface Page {
  readonly Records: readonly { readonly PartitionKey: string; readonly Data: string }[];
  readonly NextShardIterator: string;
  readonly MillisBehindLatest: number;
}

/** Publishes numbers 0.. line by line with QoS 1; resolves with the exit code: 0 = everything was acknowledged. */
function publish(
  port: number,
  topic: string,
  count: number,
  options: readonly string[] = [],
): Promise<number | null> {
  const child = spawn('mosquitto_pub', ['-p', String(port), '-q', '1', '-l', '-t', topic, ...options], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  children.push(child);
  child.stdin.on('error', () => undefined);
  let next = 0;
  const feed = setInterval(() => {
    for (let line = 0; line < 50 && next < count; line += 1) child.stdin.write(`${next++}\n`);
    if (next < count) return;
    clearInterval(feed);
    child.stdin.end();
  }, 100);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

describe(`seed ${seed}`, () => {
  it('10,000 acknowledged publishes, five kills of the gateway, three of the server, a cut of 30 s', async (context) => {
    needs(context, 'mosquitto_pub', 'aws');
    const site = await Site.open(randomOf(seed));
    const count = 5_000;
    const port = site.gateway.mqttPort;
    // One client names itself, the other does not: both send again what was not acknowledged.
    const publishers = Promise.all([
      publish(port, 'sensors/named', count, ['-i', 'named-publisher']),
      publish(port, 'sensors/unnamed', count),
    ]);
    for (let round = 0; round < 5; round += 1) {
      await site.pass(300, 1_500);
      await site.killGateway();
      if (round % 2 === 0) {
        await site.pass(100, 800);
        await site.killServer();
      }
    }
    site.relay.cut();
    await sleep(LINK_CUT_MS);
    site.relay.mend();
    expect(await publishers).toEqual([0, 0]);
    await site.delivered();
    const readings = await readWithAws(site.server.httpUrl, 'telemetry');
    const expected = Array.from({ length: count }, (_, index) => String(index));
    for (const topic of ['sensors/named', 'sensors/unnamed']) {
      const texts = readings.filter(({ key }) => key === topic).map(({ text }) => text);
      expect(texts, topic).toEqual(expected);
    }
    expect(readings).toHaveLength(2 * count);
    await site.close();
  });

  it('lines of a serial port, with kills of both programs and a cut link', async (context) => {
    needs(context, 'socat', 'aws');
    const random = randomOf(seed + 1);
    const folder = temporaryFolder('pty');
    const near = join(folder, 'near');
    const far = join(folder, 'far');
    const socat = spawn('socat', [`pty,raw,echo=0,link=${near}`, `pty,raw,echo=0,link=${far}`], {
      stdio: 'ignore',
    });
    children.push(socat);
    await sleep(500);
    const site = await Site.open(random, ['--serial', `${near}:115200:raw`]);
    const line = openSync(far, 'w');
    let next = 0;
    // A serial line acknowledges nothing, so that the gateway says what is durable before it is killed.
    const send = async (count: number): Promise<void> => {
      const before = (await site.status()).records;
      for (const last = next + count; next < last; next += 1) writeSync(line, `line ${next}\n`);
      while ((await site.status()).records < before + count) await sleep(20);
    };
    for (let round = 0; round < 4; round += 1) {
      await send(50 + Math.floor(random() * 200));
      if (round === 1) site.relay.cut();
      await site.killGateway();
      while (((await site.status()) as unknown as SerialStatus).serial[0]?.state !== 'open') await sleep(50);
      await send(20);
      if (round === 2) {
        await site.killServer();
        site.relay.mend();
      }
    }
    await send(100);
    await site.delivered();
    const readings = await readWithAws(site.server.httpUrl, 'telemetry');
    expect(readings.map(({ text }) => text)).toEqual(
      Array.from({ length: next }, (_, index) => `line ${index}`),
    );
    expect(new Set(readings.map(({ key }) => key))).toEqual(new Set([near]));
    await site.close();
  });
});

interface SerialStatus {
  readonly serial: readonly { readonly state: string }[];
}

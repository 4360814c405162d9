// How long a record takes from the moment a writer has it until a subscriber holds it: PutRecord at a fixed rate, stamped,
// and SubscribeToShard on every shard.
import { randomBytes } from 'node:crypto';
import { start } from './contender.ts';
import type { Contender } from './contender.ts';
import { bodyOf, KinesisClient, pause, shardId } from './kinesis-client.ts';
import { kinesisLocal, tributary } from './kinesis-contenders.ts';
import { inRounds } from './measure.ts';
import type { Pace } from './measure.ts';
import { section } from './section.ts';
import type { Section } from './section.ts';
import { fixed, median, quantile } from './statistics.ts';
import { Subscription } from './subscription.ts';
import type { PushedRecord } from './subscription.ts';

interface Paced {
  readonly contender: Contender;
  readonly recordsPerSecond: number;
}

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Until the writer was answered: what lies beyond it is the push. */
  readonly acknowledgedP50Ms: number;
  readonly acknowledgedP99Ms: number;
  readonly delivered: number;
  /** Of the writer's requests, with records that never came and subscriptions that ended. */
  readonly failed: number;
  readonly cpuShare: number;
}

const STREAM = 'bench';
const SHARDS = 4;
const CONNECTIONS = 32;
const RECORD_BYTES = 200;
const TICK_MS = 1;
/** Longest wait for records that are under way when the writer stops. */
const STRAGGLERS_MS = 5_000;

/** kinesis-local stores fewer than 250 PutRecords a second. */
const PACED: readonly Paced[] = [
  { contender: tributary, recordsPerSecond: 1_000 },
  { contender: { ...tributary, name: 'tributary, slower' }, recordsPerSecond: 100 },
  { contender: kinesisLocal, recordsPerSecond: 100 },
];

/** Ratios are ours over the peer's, at the peer's rate: below 1 is sooner. */
export async function pushLatencyReport(pace: Pace): Promise<Section> {
  const title = `PutRecord → SubscribeToShard, ${RECORD_BYTES} B, ${SHARDS} shards, one subscriber each`;
  const contenders = PACED.map(({ contender }) => contender);
  const outcomes = await inRounds(title, contenders, pace.rounds, (contender) => {
    const rate = PACED.find((one) => one.contender === contender)?.recordsPerSecond ?? 0;
    return latencyOf(contender, rate, pace);
  });
  const results = PACED.map(({ contender, recordsPerSecond }) => ({
    name: contender.name,
    recordsPerSecond,
    samples: outcomes.get(contender) ?? [],
  }));
  const of = (name: keyof Latency, samples: readonly Latency[]): number =>
    median(whole(samples).map((one) => one[name]));
  const rows = results.map(({ name, recordsPerSecond, samples }) => {
    const ours = results.find((one) => one.recordsPerSecond === recordsPerSecond);
    const isPeer = ours !== undefined && ours.name !== name;
    return [
      name,
      String(recordsPerSecond),
      fixed(of('p50Ms', samples), 1),
      fixed(of('p99Ms', samples), 1),
      fixed(of('acknowledgedP50Ms', samples), 1),
      fixed(of('acknowledgedP99Ms', samples), 1),
      fixed(100 * of('cpuShare', samples), 0),
      String(samples.reduce((sum, { failed }) => sum + failed, pace.rounds - samples.length)),
      isPeer ? fixed(of('p50Ms', ours.samples) / of('p50Ms', samples), 3) : '',
      isPeer ? fixed(of('p99Ms', ours.samples) / of('p99Ms', samples), 3) : '',
    ];
  });
  const heads = [
    'contender',
    'records/s put',
    'p50 ms',
    'p99 ms',
    'answered p50 ms',
    'answered p99 ms',
    'CPU %',
    'failed or missing',
    'ours ÷ it, p50',
    'ours ÷ it, p99',
  ];
  return section({ title, heads, rows }, { results });
}

/** With a failure a run is void. */
function whole(samples: readonly Latency[]): readonly Latency[] {
  return samples.filter(({ failed }) => failed === 0);
}

async function latencyOf(contender: Contender, recordsPerSecond: number, pace: Pace): Promise<Latency> {
  const running = await start(contender);
  const client = await KinesisClient.open(running.port, CONNECTIONS);
  try {
    const { StreamARN: arn } = await client.createStream(STREAM, SHARDS);
    const consumerArn = await client.registerConsumer(arn, 'reader');
    const waitsMs: number[] = [];
    const onRecords = (records: readonly PushedRecord[]): void => {
      const now = performance.now();
      for (const record of records) waitsMs.push(now - stampOf(record));
    };
    const subscriptions = await Promise.all(
      Array.from({ length: SHARDS }, (_, index) =>
        Subscription.open({ port: running.port, consumerArn, shardId: shardId(index) }, onRecords),
      ),
    );
    await putPaced(client, recordsPerSecond, pace.warmUpMs, waitsMs);
    // As many as were put have come, or the run is void.
    waitsMs.length = 0;
    const cpuBefore = running.cpuSeconds();
    const startedMs = performance.now();
    const { failed, acknowledgedMs } = await putPaced(client, recordsPerSecond, pace.durationMs, waitsMs);
    const cpuShare = (1_000 * (running.cpuSeconds() - cpuBefore)) / (performance.now() - startedMs);
    const ended = subscriptions.filter(({ failure }) => failure !== null).length;
    for (const subscription of subscriptions) subscription.close();
    return {
      p50Ms: quantile(waitsMs, 0.5),
      p99Ms: quantile(waitsMs, 0.99),
      acknowledgedP50Ms: quantile(acknowledgedMs, 0.5),
      acknowledgedP99Ms: quantile(acknowledgedMs, 0.99),
      delivered: waitsMs.length,
      failed: failed + ended,
      cpuShare,
    };
  } finally {
    client.close();
    await running.stop();
  }
}

/**
 * Puts on an open loop: what is slow does not slow the writer, and waits for a connection count. Resolves when everything
 * has come or STRAGGLERS_MS are over. `failed`: requests that failed and records that are missing.
 */
async function putPaced(
  client: KinesisClient,
  recordsPerSecond: number,
  durationMs: number,
  arrived: readonly number[],
): Promise<{ readonly failed: number; readonly acknowledgedMs: readonly number[] }> {
  const startedMs = performance.now();
  const count = Math.floor((recordsPerSecond * durationMs) / 1_000);
  const puts: Promise<number | null>[] = [];
  while (puts.length < count) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) * recordsPerSecond) / 1_000));
    while (puts.length < due) puts.push(putStamped(client));
    await pause(TICK_MS);
  }
  const acknowledgedMs = (await Promise.all(puts)).filter((ms) => ms !== null);
  const failures = count - acknowledgedMs.length;
  const deadline = performance.now() + STRAGGLERS_MS;
  while (arrived.length < acknowledgedMs.length && performance.now() < deadline) await pause(TICK_MS);
  return { failed: failures + Math.abs(acknowledgedMs.length - arrived.length), acknowledgedMs };
}

/** Milliseconds until it was answered; null: it failed. */
async function putStamped(client: KinesisClient): Promise<number | null> {
  const startedMs = performance.now();
  const stamped = Buffer.from(startedMs.toFixed(3).padEnd(RECORD_BYTES, ' '));
  const body = bodyOf({
    StreamName: STREAM,
    Data: stamped.toString('base64'),
    PartitionKey: randomBytes(8).toString('hex'),
  });
  try {
    await client.send('PutRecord', body);
    return performance.now() - startedMs;
  } catch {
    return null;
  }
}

function stampOf({ Data: data }: PushedRecord): number {
  return Number(Buffer.from(data, 'base64').toString('latin1'));
}

// What shards and subscribers that have nothing to do cost: PutRecords to 4 shards alone; the same beside 1,000 shards with
// 200 subscribers; and spread over those 1,000. With the memory of an idle shard.
import { start } from './contender.ts';
import type { Contender, Running } from './contender.ts';
import { putAll } from './kinesis.ts';
import { KinesisClient, pause, putRecordsBody, shardId, together } from './kinesis-client.ts';
import { tributary } from './kinesis-contenders.ts';
import { inRounds, sampleOf } from './measure.ts';
import type { Done, Pace } from './measure.ts';
import { section } from './section.ts';
import type { Section } from './section.ts';
import { fixed, median, rounded } from './statistics.ts';
import { Subscription } from './subscription.ts';

interface Setting {
  readonly contender: Contender;
  readonly isWide: boolean;
  /** Streams that are put to. */
  readonly targets: readonly string[];
}

interface Outcome {
  readonly perSecond: number;
  readonly perCpuSecond: number;
  /** After a new start, before anything is put. */
  readonly idleAnonymousMiB: number;
  /** With the subscriptions open. */
  readonly subscribedAnonymousMiB: number;
  readonly failed: number;
}

const NARROW = 'narrow';
const NARROW_SHARDS = 4;
/** A stream has at most 20 consumers. */
const WIDE = Array.from({ length: 10 }, (_, index) => `wide-${index}`);
const WIDE_SHARDS = 100;
const CONSUMERS = 20;
const CONNECTIONS = 4;
const RECORDS_PER_PUT = 500;
const RECORD_BYTES = 200;
const BODIES = 8;
const SETTLE_MS = 3_000;
const SHARDS = WIDE.length * WIDE_SHARDS;
const SUBSCRIPTIONS = WIDE.length * CONSUMERS;

const SETTINGS: readonly Setting[] = [
  { contender: { ...tributary, name: '4 shards' }, isWide: false, targets: [NARROW] },
  {
    contender: { ...tributary, name: `4 shards beside ${SHARDS} with ${SUBSCRIPTIONS} subscribers` },
    isWide: true,
    targets: [NARROW],
  },
  {
    contender: { ...tributary, name: `spread over ${SHARDS} shards with ${SUBSCRIPTIONS} subscribers` },
    isWide: true,
    targets: WIDE,
  },
];

export async function shardsReport(pace: Pace): Promise<Section> {
  const title = `PutRecords, ${RECORDS_PER_PUT} × ${RECORD_BYTES} B, beside and over ${SHARDS} shards`;
  const contenders = SETTINGS.map(({ contender }) => contender);
  const outcomes = await inRounds(title, contenders, pace.rounds, (contender) => {
    const setting = SETTINGS.find((one) => one.contender === contender);
    if (setting === undefined) throw new Error('no setting');
    return outcomeOf(setting, pace);
  });
  const results = SETTINGS.map(({ contender, isWide }) => ({
    name: contender.name,
    isWide,
    samples: (outcomes.get(contender) ?? []).filter(({ failed }) => failed === 0),
    failed: (outcomes.get(contender) ?? []).reduce(
      (sum, { failed }) => sum + failed,
      pace.rounds - (outcomes.get(contender)?.length ?? 0),
    ),
  }));
  const of = (name: keyof Outcome, samples: readonly Outcome[]): number =>
    median(samples.map((one) => one[name]));
  const alone = results[0]?.samples ?? [];
  const rows = results.map(({ name, isWide, samples, failed }) => {
    const idleMiB = of('idleAnonymousMiB', samples);
    return [
      name,
      rounded(of('perSecond', samples)),
      rounded(of('perCpuSecond', samples)),
      fixed(of('perSecond', samples) / of('perSecond', alone), 2),
      fixed(of('perCpuSecond', samples) / of('perCpuSecond', alone), 2),
      fixed(idleMiB, 1),
      isWide ? fixed(((idleMiB - of('idleAnonymousMiB', alone)) * 1024) / SHARDS, 1) : '',
      isWide ? fixed(((of('subscribedAnonymousMiB', samples) - idleMiB) * 1024) / SUBSCRIPTIONS, 1) : '',
      String(failed),
    ];
  });
  const heads = [
    'puts to',
    'records/s',
    'per CPU second',
    '÷ 4 shards',
    '÷ 4 shards per CPU second',
    'idle RssAnon MiB',
    'KiB for each idle shard',
    'KiB for each subscriber',
    'failed',
  ];
  return section({ title, heads, rows }, { results });
}

async function outcomeOf({ contender, isWide, targets }: Setting, pace: Pace): Promise<Outcome> {
  const running = await start(contender);
  try {
    const consumers = await KinesisClient.with(running.port, 1, (client) => prepare(client, isWide));
    // What making them left behind is gone, and what they cost is there.
    await running.restart();
    await pause(SETTLE_MS);
    const idleAnonymousMiB = running.memory().anonymousMiB;
    const subscriptions = await Promise.all(
      consumers.map((consumerArn, index) => subscribe(running, consumerArn, index)),
    );
    await pause(SETTLE_MS);
    const subscribedAnonymousMiB = running.memory().anonymousMiB;
    const run = (one: Running, durationMs: number): Promise<Done> => putTo(one, targets, durationMs);
    const { sample, failed } = await sampleOf({ run }, running, pace);
    const ended = subscriptions.filter(({ failure }) => failure !== null).length;
    for (const subscription of subscriptions) subscription.close();
    return {
      perSecond: sample?.perSecond ?? Number.NaN,
      perCpuSecond: sample?.perCpuSecond ?? Number.NaN,
      idleAnonymousMiB,
      subscribedAnonymousMiB,
      failed: failed + ended,
    };
  } finally {
    await running.stop();
  }
}

/** The consumers' ARNs, those of a stream side by side. */
async function prepare(client: KinesisClient, isWide: boolean): Promise<string[]> {
  await client.createStream(NARROW, NARROW_SHARDS);
  const consumers: string[] = [];
  for (const name of isWide ? WIDE : []) {
    const { StreamARN: arn } = await client.createStream(name, WIDE_SHARDS);
    for (let index = 0; index < CONSUMERS; index += 1)
      consumers.push(await client.registerConsumer(arn, `consumer-${index}`));
  }
  return consumers;
}

/** Each consumer of a stream has a shard of its own. */
function subscribe({ port }: Running, consumerArn: string, index: number): Promise<Subscription> {
  return Subscription.open({ port, consumerArn, shardId: shardId(index % CONSUMERS) }, () => undefined);
}

function putTo({ port }: Running, streams: readonly string[], durationMs: number): Promise<Done> {
  return KinesisClient.with(port, CONNECTIONS, (client) => {
    const bodies = Array.from({ length: Math.max(BODIES, streams.length) }, (_, index) =>
      putRecordsBody(streams[index % streams.length] ?? NARROW, RECORDS_PER_PUT, RECORD_BYTES),
    );
    return together(CONNECTIONS, durationMs, (turn) => {
      const body = bodies[turn % bodies.length];
      if (body === undefined) throw new Error('no bodies to send');
      return putAll(client, body);
    });
  });
}

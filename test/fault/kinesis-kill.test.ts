// Goal: a server that is killed again and again while records are put and shards are split and merged has every record that
// it acknowledged, once, in the order of its key, under the number it said. Method: a real server and SIGKILL; 10,000 signed
// puts, none of which is repeated; all is read along the lineage after each restart. Kills come by seed, and what they meet
// is chance. A failure prints its seed; run it again with SEED=<seed> npx vitest run --project fault kinesis-kill
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { followLineage } from '../lineage.ts';
import type { ChildShard } from '../lineage.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { randomOf } from '../seeded-random.ts';
import { kinesis } from '../signed-requests.ts';
import type { Answer } from '../signed-requests.ts';

const seed = Number(process.env['SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
const isNightly = process.env['NIGHTLY'] === 'true';
const PUTS = 10_000;
const KILLS = isNightly ? 40 : 6;
const WRITERS = 20;
/** Of each writer: one in three requests has a record for each of them. */
const KEYS = 3;
const SHARDS_MAX = 12;
const StreamName = 's';
/** What a change of shards may be refused with while the stream is what it is. */
const REFUSALS = ['ResourceInUseException', 'InvalidArgumentException', 'LimitExceededException'];

afterEach(stopAll);

interface Entry {
  readonly PartitionKey: string;
  readonly Data: string;
}

interface Placed {
  readonly ShardId: string;
  readonly SequenceNumber: string;
}

interface Shard {
  readonly ShardId: string;
  readonly ParentShardId?: string;
  readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string };
}

class Story {
  server: RunningServer;
  readonly random = randomOf(seed);
  /** Where each record was said to be, by its text. */
  readonly acknowledged = new Map<string, Placed>();
  /** Put, and the answer was lost: there once or not at all. */
  readonly unknown = new Set<string>();
  sent = 0;
  reshards = 0;
  /** Waited for before each request: the server is there. */
  up = Promise.resolve();

  constructor(server: RunningServer) {
    this.server = server;
  }

  get isOver(): boolean {
    return this.sent >= PUTS;
  }

  /** Null when the answer was lost with the server. */
  async call(operation: string, input: object): Promise<Answer | null> {
    await this.up;
    return kinesis(this.server.httpUrl, operation, { StreamName, ...input }).catch(() => null);
  }

  async ask(operation: string, input: object): Promise<Answer['body']> {
    const answer = await kinesis(this.server.httpUrl, operation, input);
    expect([operation, answer.status, answer.text]).toEqual([operation, 200, answer.text]);
    return answer.body;
  }
}

async function write(story: Story, writer: number): Promise<void> {
  for (let n = 0; !story.isOver; n += 1) {
    const keys = n % 3 === 0 ? [...Array(KEYS).keys()] : [n % KEYS];
    const entries = keys.map((key) => ({
      PartitionKey: `w${writer}k${key}`,
      Data: Buffer.from(`w${writer}k${key} ${n}`).toString('base64'),
    }));
    story.sent += entries.length;
    await put(story, entries);
  }
}

async function put(story: Story, entries: readonly Entry[]): Promise<void> {
  const isOne = entries.length === 1;
  const answer = await (isOne
    ? story.call('PutRecord', entries[0] ?? {})
    : story.call('PutRecords', { Records: entries }));
  if (answer !== null) expect([answer.status, answer.text]).toEqual([200, answer.text]);
  const placed = (isOne ? [answer?.body] : answer?.body['Records']) as Placed[] | undefined;
  for (const [place, { Data }] of entries.entries()) {
    const text = Buffer.from(Data, 'base64').toString();
    const where = answer === null ? undefined : placed?.[place];
    if (where === undefined) story.unknown.add(text);
    else story.acknowledged.set(text, { ShardId: where.ShardId, SequenceNumber: where.SequenceNumber });
  }
}

async function reshard(story: Story): Promise<void> {
  while (!story.isOver) {
    const list = await story.call('ListShards', { ShardFilter: { Type: 'AT_LATEST' } });
    const open = ((list?.body['Shards'] ?? []) as Shard[]).toSorted((a, b) =>
      BigInt(a.HashKeyRange.StartingHashKey) < BigInt(b.HashKeyRange.StartingHashKey) ? -1 : 1,
    );
    const place = Math.floor(story.random() * open.length);
    const [one, next] = [open[place], open[place + 1]];
    if (one === undefined) continue;
    const { StartingHashKey, EndingHashKey } = one.HashKeyRange;
    const middle = (BigInt(StartingHashKey) + BigInt(EndingHashKey)) / 2n;
    const answer =
      next === undefined || (story.random() < 0.5 && open.length < SHARDS_MAX)
        ? await story.call('SplitShard', { ShardToSplit: one.ShardId, NewStartingHashKey: String(middle) })
        : await story.call('MergeShards', {
            ShardToMerge: one.ShardId,
            AdjacentShardToMerge: next.ShardId,
          });
    if (answer?.status === 200) story.reshards += 1;
    else if (answer !== null) expect(REFUSALS).toContain(answer.body['__type']);
    await sleep(10);
  }
}

/** Kills the server when so many records were sent, and lets nobody at it before all that it had said is there. */
async function kill(story: Story, sent: number): Promise<void> {
  while (story.sent < sent) await sleep(1);
  let isUp: () => void = () => undefined;
  story.up = new Promise((resolve) => {
    isUp = resolve;
  });
  // Chance decides what it was doing.
  await sleep(story.random() * 20);
  await story.server.kill('SIGKILL');
  story.server = await story.server.restart();
  await check(story);
  isUp();
}

/** Every record that is there, by text, in the order of reading. */
async function readAll(story: Story): Promise<Map<string, Placed>> {
  const found = new Map<string, Placed>();
  const numbers = new Set<string>();
  const readShard = async (ShardId: string): Promise<ChildShard[] | null> => {
    const start = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' };
    let { ShardIterator } = await story.ask('GetShardIterator', start);
    for (;;) {
      const page = await story.ask('GetRecords', { ShardIterator });
      for (const { Data, SequenceNumber } of page['Records'] as { Data: string; SequenceNumber: string }[]) {
        const text = Buffer.from(Data, 'base64').toString();
        expect([text, found.has(text), numbers.has(SequenceNumber)]).toEqual([text, false, false]);
        numbers.add(SequenceNumber);
        found.set(text, { ShardId, SequenceNumber });
      }
      const children = (page['ChildShards'] ?? []) as { ShardId: string; ParentShards: string[] }[];
      if (children.length > 0)
        return children.map((child) => ({ shardId: child.ShardId, parents: child.ParentShards }));
      if (page['MillisBehindLatest'] === 0) return null;
      ShardIterator = page['NextShardIterator'];
    }
  };
  const { Shards } = await story.ask('ListShards', { StreamName });
  const roots = (Shards as Shard[]).filter(({ ParentShardId }) => ParentShardId === undefined);
  await followLineage(
    roots.map(({ ShardId }) => ShardId),
    readShard,
  );
  return found;
}

async function check(story: Story): Promise<void> {
  const found = await readAll(story);
  for (const [text, placed] of story.acknowledged) expect([text, found.get(text)]).toEqual([text, placed]);
  const lastOf = new Map<string, number>();
  for (const text of found.keys()) {
    const [key = '', n = ''] = text.split(' ');
    expect([text, Number(n) > (lastOf.get(key) ?? -1)]).toEqual([text, true]);
    lastOf.set(key, Number(n));
    // While some are under way, what is neither is about to be.
    if (story.isOver)
      expect([text, story.acknowledged.has(text) || story.unknown.has(text)]).toEqual([text, true]);
  }
}

it(`a killed server keeps what it acknowledged, through splits and merges (seed ${seed})`, async () => {
  const story = new Story(await startServer());
  await story.ask('CreateStream', { StreamName, ShardCount: 3 });
  const working = [reshard(story), ...Array.from({ length: WRITERS }, (_, writer) => write(story, writer))];
  const all = Promise.all(working);
  const kills = Array.from({ length: KILLS }, () => Math.floor(story.random() * PUTS * 0.95)).toSorted(
    (a, b) => a - b,
  );
  for (const sent of kills) await Promise.race([kill(story, sent), all.then(() => undefined)]);
  await all;
  await story.server.kill('SIGKILL');
  story.server = await story.server.restart();
  await check(story);
  expect(story.reshards).toBeGreaterThan(KILLS);
  expect(story.acknowledged.size).toBeGreaterThan(PUTS / 2);
});

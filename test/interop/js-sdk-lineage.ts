// Splits, merges and resizes a stream through the AWS SDK for JavaScript, while a writer writes and two consumers follow its
// shards: one polls, one is pushed. Prints how many rounds were written, and what each consumer got for each key.
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
  UpdateShardCountCommand,
  waitUntilStreamExists,
} from '@aws-sdk/client-kinesis';
import type { ChildShard, Shard, _Record } from '@aws-sdk/client-kinesis';
import { followLineage } from '../lineage.ts';
import type { ChildShard as Child } from '../lineage.ts';
import { client, handler, report, textOf, waiter } from './js-sdk-client.ts';

const StreamName = `lineage-${handler}`;
const KEYS = 12;
const HASH_KEYS = 2n ** 128n;
/** Rounds that are written between one change of the shards and the next. */
const ROUNDS_BETWEEN = 6;
/** The last record of each shard that is open in the end. */
const END = 'end';

let rounds = 0;
let isOver = false;

/** One record for each key, in one request and in many by turns; every other key has its place set. */
async function writeRound(round: number): Promise<void> {
  const entries = Array.from({ length: KEYS }, (_, key) => ({
    PartitionKey: `k${key}`,
    Data: Buffer.from(String(round)),
    ...(key % 2 === 0 ? {} : { ExplicitHashKey: String((HASH_KEYS * BigInt(key)) / BigInt(KEYS)) }),
  }));
  if (round % 2 === 0) {
    const put = await client.send(new PutRecordsCommand({ StreamName, Records: entries }));
    if (put.FailedRecordCount !== 0) throw new Error(JSON.stringify(put.Records));
  } else
    await Promise.all(entries.map((entry) => client.send(new PutRecordCommand({ StreamName, ...entry }))));
}

async function write(): Promise<void> {
  for (; !isOver; rounds += 1) await writeRound(rounds);
}

async function writtenMore(): Promise<void> {
  const enough = rounds + ROUNDS_BETWEEN;
  while (rounds < enough) await new Promise((resolve) => setTimeout(resolve, 5));
}

const openShards = async (): Promise<Shard[]> => {
  const list = new ListShardsCommand({ StreamName, ShardFilter: { Type: 'AT_LATEST' } });
  const { Shards = [] } = await client.send(list);
  return Shards.toSorted((a, b) =>
    BigInt(a.HashKeyRange?.StartingHashKey ?? 0) < BigInt(b.HashKeyRange?.StartingHashKey ?? 0) ? -1 : 1,
  );
};

async function split(): Promise<void> {
  const [shard] = await openShards();
  const { StartingHashKey = 0, EndingHashKey = 0 } = shard?.HashKeyRange ?? {};
  const NewStartingHashKey = String((BigInt(StartingHashKey) + BigInt(EndingHashKey)) / 2n);
  await client.send(new SplitShardCommand({ StreamName, ShardToSplit: shard?.ShardId, NewStartingHashKey }));
}

async function merge(): Promise<void> {
  const [lower, upper] = await openShards();
  const pair = { ShardToMerge: lower?.ShardId, AdjacentShardToMerge: upper?.ShardId };
  await client.send(new MergeShardsCommand({ StreamName, ...pair }));
}

async function resize(TargetShardCount: number): Promise<void> {
  const target = { TargetShardCount, ScalingType: 'UNIFORM_SCALING' } as const;
  await client.send(new UpdateShardCountCommand({ StreamName, ...target }));
}

/** What a consumer got: the data of each key, in order. */
class Received {
  readonly byKey: Record<string, string[]> = {};

  /** True when the shard's last record has come. */
  add(records: readonly _Record[] = []): boolean {
    for (const { Data, PartitionKey = '' } of records) (this.byKey[PartitionKey] ??= []).push(textOf(Data));
    return records.some(({ Data }) => textOf(Data) === END);
  }
}

const children = (shards: readonly ChildShard[]): Child[] =>
  shards.map(({ ShardId = '', ParentShards = [] }) => ({ shardId: ShardId, parents: ParentShards }));

async function poll(ShardId: string, received: Received): Promise<Child[] | null> {
  const start = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
  let { ShardIterator } = await client.send(new GetShardIteratorCommand(start));
  while (ShardIterator !== undefined) {
    const page = await client.send(new GetRecordsCommand({ ShardIterator, Limit: 50 }));
    if (received.add(page.Records)) return null;
    if (page.NextShardIterator === undefined) return children(page.ChildShards ?? []);
    ShardIterator = page.NextShardIterator;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no iterator for ${ShardId}`);
}

async function subscribe(ShardId: string, consumer: string, received: Received): Promise<Child[] | null> {
  const abort = new AbortController();
  const input = { ConsumerARN: consumer, ShardId, StartingPosition: { Type: 'TRIM_HORIZON' } } as const;
  const options = { abortSignal: abort.signal };
  const { EventStream } = await client.send(new SubscribeToShardCommand(input), options);
  for await (const { SubscribeToShardEvent: event } of EventStream ?? []) {
    const isLast = received.add(event?.Records);
    if (!isLast && event?.ChildShards === undefined) continue;
    abort.abort();
    return isLast ? null : children(event?.ChildShards ?? []);
  }
  throw new Error(`the subscription to ${ShardId} ended in its middle`);
}

await client.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
const { reason } = await waitUntilStreamExists(waiter, { StreamName });
const { StreamARN } = (reason as { StreamDescription: { StreamARN: string } }).StreamDescription;
const registered = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }));
const consumer = registered.Consumer?.ConsumerARN ?? '';

const roots = (await openShards()).map(({ ShardId = '' }) => ShardId);
const polled = new Received();
const pushed = new Received();
const following = Promise.all([
  followLineage(roots, (shardId) => poll(shardId, polled)),
  followLineage(roots, (shardId) => subscribe(shardId, consumer, pushed)),
]);
const writing = write();
const openCounts: number[] = [];
for (const change of [split, merge, () => resize(4), () => resize(2)]) {
  await writtenMore();
  await change();
  await waitUntilStreamExists(waiter, { StreamName });
  openCounts.push((await openShards()).length);
}
await writtenMore();
isOver = true;
await writing;
for (const { HashKeyRange } of await openShards()) {
  const place = { PartitionKey: END, ExplicitHashKey: HashKeyRange?.StartingHashKey };
  await client.send(new PutRecordCommand({ StreamName, Data: Buffer.from(END), ...place }));
}
await following;
await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
report({ rounds, openCounts, polled: polled.byKey, pushed: pushed.byKey });

// What a program does with streams through the AWS SDK for JavaScript, as a process of its own: trust in a certificate is
// given to a process when it starts. Prints one JSON document of what it saw.
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DeregisterStreamConsumerCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
  waitUntilStreamExists,
  waitUntilStreamNotExists,
} from '@aws-sdk/client-kinesis';
import type { ShardIteratorType, SubscribeToShardEvent } from '@aws-sdk/client-kinesis';
import { client, handler, report, textOf, waiter } from './js-sdk-client.ts';

const StreamName = `tour-${handler}`;
const ShardId = 'shardId-000000000000';

async function put(from: number, count: number): Promise<string[]> {
  const Records = Array.from({ length: count }, (_, index) => ({
    Data: Buffer.from(String(from + index)),
    PartitionKey: `key ${index % 3}`,
  }));
  const put = await client.send(new PutRecordsCommand({ StreamName, Records }));
  return (put.Records ?? []).map(({ SequenceNumber }) => SequenceNumber ?? '');
}

async function read(
  type: ShardIteratorType,
  where: { StartingSequenceNumber?: string; Timestamp?: Date } = {},
): Promise<string> {
  const input = { StreamName, ShardId, ShardIteratorType: type, ...where };
  const { ShardIterator } = await client.send(new GetShardIteratorCommand(input));
  const { Records = [] } = await client.send(new GetRecordsCommand({ ShardIterator }));
  return Records.map(({ Data }) => textOf(Data)).join(' ');
}

/** The texts of events until `enough` says so; the number to go on behind. */
async function follow(
  ConsumerARN: string,
  start: { Type: ShardIteratorType; SequenceNumber?: string },
  enough: (event: SubscribeToShardEvent, seen: readonly string[]) => boolean,
): Promise<{ seen: string[]; last: SubscribeToShardEvent }> {
  const input = { ConsumerARN, ShardId, StartingPosition: start };
  const abort = new AbortController();
  const { EventStream } = await client.send(new SubscribeToShardCommand(input), {
    abortSignal: abort.signal,
  });
  const seen: string[] = [];
  for await (const { SubscribeToShardEvent: event } of EventStream ?? []) {
    if (event === undefined) throw new Error('an event of another kind');
    seen.push(...(event.Records ?? []).map(({ Data }) => textOf(Data)));
    if (!enough(event, seen)) continue;
    abort.abort();
    return { seen, last: event };
  }
  throw new Error(`the stream ended after ${seen.join(' ')}`);
}

async function tour(): Promise<object> {
  await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }));
  const { reason } = await waitUntilStreamExists(waiter, { StreamName });
  const StreamARN = (reason as { StreamDescription: { StreamARN: string } }).StreamDescription.StreamARN;
  await put(0, 5);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const Timestamp = new Date();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const [five = ''] = await put(5, 5);
  const reads = [
    await read('TRIM_HORIZON'),
    await read('LATEST'),
    await read('AT_SEQUENCE_NUMBER', { StartingSequenceNumber: five }),
    await read('AFTER_SEQUENCE_NUMBER', { StartingSequenceNumber: five }),
    await read('AT_TIMESTAMP', { Timestamp }),
  ];

  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }));
  const ConsumerARN = Consumer?.ConsumerARN ?? '';
  const first = await follow(ConsumerARN, { Type: 'TRIM_HORIZON' }, (_event, seen) => seen.length >= 10);
  // Written while nobody is subscribed, then while somebody is.
  await put(10, 7);
  let next = 17;
  const SequenceNumber = first.last.ContinuationSequenceNumber ?? '';
  const resumed = await follow(
    ConsumerARN,
    { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber },
    (_event, seen) => {
      if (seen.length === next - 10 && next < 25) void put(next++, 1);
      return seen.length >= 15;
    },
  );
  const split = new SplitShardCommand({ StreamName, ShardToSplit: ShardId, NewStartingHashKey: '1000' });
  await client.send(split);
  const end = await follow(ConsumerARN, { Type: 'LATEST' }, (event) => event.ChildShards !== undefined);

  await client.send(new DeregisterStreamConsumerCommand({ ConsumerARN }));
  await waitUntilStreamExists(waiter, { StreamName });
  await client.send(new DeleteStreamCommand({ StreamName }));
  await waitUntilStreamNotExists(waiter, { StreamName });
  return {
    reads,
    pushed: [...first.seen, ...resumed.seen].join(' '),
    children: end.last.ChildShards?.map((child) => child.ShardId),
    continues: end.last.ContinuationSequenceNumber !== undefined,
  };
}

report(await tour());

// Goal: who goes on behind the last ContinuationSequenceNumber gets every acknowledged record once and in order, however the
// server ended. Method: a real server with a writer and a subscriber, stopped and killed in turn.
import { afterEach, expect, test } from 'vitest';
import { eventMessages } from '../event-messages.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { kinesis, kinesisStream } from '../signed-requests.ts';

afterEach(stopAll);

const ENDS = ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const;
/** Of each life, before it ends. */
const RECORDS = 30;

interface Event {
  readonly Records: { readonly Data: string }[];
  readonly ContinuationSequenceNumber: string;
}

class Reader {
  readonly seen: string[] = [];
  /** In peace, not cut off. */
  ends = 0;
  begun = 0;
  #start: object = { Type: 'TRIM_HORIZON' };

  /** Until the server ends it. */
  async follow(server: RunningServer, ConsumerARN: string): Promise<void> {
    const input = { ConsumerARN, ShardId: 'shardId-000000000000', StartingPosition: this.#start };
    const chunks = await kinesisStream(server.httpUrl, 'SubscribeToShard', input);
    this.begun += 1;
    for await (const { headers, payload } of eventMessages(chunks)) {
      expect(headers[':message-type']).toBe('event');
      if (headers[':event-type'] !== 'SubscribeToShardEvent') continue;
      const event = JSON.parse(payload.toString()) as Event;
      this.seen.push(...event.Records.map(({ Data }) => Buffer.from(Data, 'base64').toString()));
      this.#start = { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: event.ContinuationSequenceNumber };
    }
    this.ends += 1;
  }
}

/** Writes one after the other until the server is gone; the acknowledged ones. */
async function write(server: RunningServer, life: number, acknowledged: string[]): Promise<void> {
  for (let n = 0; ; n += 1) {
    const text = `${life}.${n}`;
    const input = { StreamName: 's', PartitionKey: 'k', Data: Buffer.from(text).toString('base64') };
    if ((await kinesis(server.httpUrl, 'PutRecord', input)).status !== 200) return;
    acknowledged.push(text);
  }
}

test('a subscriber goes on over stops and kills without gap or repetition', async () => {
  let server = await startServer();
  await kinesis(server.httpUrl, 'CreateStream', { StreamName: 's', ShardCount: 1 });
  const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s';
  const { body } = await kinesis(server.httpUrl, 'RegisterStreamConsumer', { StreamARN, ConsumerName: 'c' });
  const { ConsumerARN } = body['Consumer'] as { ConsumerARN: string };
  const reader = new Reader();
  const acknowledged: string[] = [];
  for (const [life, signal] of ENDS.entries()) {
    const enough = acknowledged.length + RECORDS;
    const following = reader.follow(server, ConsumerARN);
    const over = Promise.allSettled([following, write(server, life, acknowledged)]);
    while (acknowledged.length < enough || reader.seen.length < enough)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await server.kill(signal)).toEqual(
      signal === 'SIGTERM' ? { code: 0, signal: null } : { code: null, signal },
    );
    await over;
    server = await server.restart();
  }
  const last = Promise.allSettled([reader.follow(server, ConsumerARN)]);
  // What was seen may be everything already: the last subscription must have begun all the same, to end in peace.
  while (reader.begun <= ENDS.length || !acknowledged.every((text) => reader.seen.includes(text)))
    await new Promise((resolve) => setTimeout(resolve, 5));
  await server.kill('SIGTERM');
  await last;
  // One whose acknowledgement was lost may have been stored; nothing else is there beyond what was acknowledged.
  const byOrder = (a: string, b: string): number =>
    Number(a.split('.')[0]) - Number(b.split('.')[0]) || Number(a.split('.')[1]) - Number(b.split('.')[1]);
  expect(reader.seen).toEqual([...new Set(reader.seen)].toSorted(byOrder));
  expect(reader.seen.length - acknowledged.length).toBeLessThanOrEqual(ENDS.length);
  expect(reader.ends).toBe(3);
});

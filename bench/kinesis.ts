// Writing and reading against other servers of the same API.
import type { Running } from './contender.ts';
import { bodyOf, KinesisClient, putRecordBody, putRecordsBody, shardId, together } from './kinesis-client.ts';
import { kinesaliteLevelDb, kinesaliteMemory, kinesisLocal, tributary } from './kinesis-contenders.ts';
import type { Workload } from './measure.ts';

const STREAM = 'bench';
const SHARDS = 4;
const CONNECTIONS = 4;
const RECORDS_PER_PUT = 500;
const SMALL_BYTES = 200;
const KIB = 1024;
const BODIES = 8;
const SINGLE_BODIES = 64;
const SINGLE_CONNECTIONS = 64;
const PRELOADED = 40_000;
const GET_LIMIT = 10_000;
const PARTITION_KEY = Buffer.from('"PartitionKey"');
const NONE_FAILED = Buffer.from('"FailedRecordCount":0');

export const putWorkload = putRecordsWorkload(SMALL_BYTES, `${SMALL_BYTES} B`, [
  tributary,
  kinesaliteMemory,
  kinesaliteLevelDb,
  kinesisLocal,
]);

export const put1kWorkload = putRecordsWorkload(KIB, '1 KiB', [
  tributary,
  kinesaliteMemory,
  kinesaliteLevelDb,
]);

export const putOneWorkload: Workload = {
  title: `PutRecord, ${SMALL_BYTES} B, ${SHARDS} shards, ${SINGLE_CONNECTIONS} connections`,
  unit: 'requests',
  contenders: [tributary, kinesaliteMemory, kinesaliteLevelDb],
  prepare: createStream,
  run: ({ port }, durationMs) =>
    KinesisClient.with(port, SINGLE_CONNECTIONS, (client) => {
      const bodies = Array.from({ length: SINGLE_BODIES }, () => putRecordBody(STREAM, SMALL_BYTES));
      return together(SINGLE_CONNECTIONS, durationMs, async (turn) => {
        await client.send('PutRecord', one(bodies, turn));
        return 1;
      });
    }),
};

const getBodies = new WeakMap<Running, Buffer[]>();

export const getWorkload: Workload = {
  title: `GetRecords over ${PRELOADED} records of ${SMALL_BYTES} B, Limit ${GET_LIMIT}, ${CONNECTIONS} connections`,
  unit: 'records',
  unitBytes: SMALL_BYTES,
  contenders: [tributary, kinesaliteMemory, kinesaliteLevelDb],
  prepare: async (running) => {
    await createStream(running);
    await KinesisClient.with(running.port, 1, async (client) => {
      const body = putRecordsBody(STREAM, RECORDS_PER_PUT, SMALL_BYTES);
      for (let put = 0; put < PRELOADED / RECORDS_PER_PUT; put += 1) await putAll(client, body);
      getBodies.set(running, await Promise.all(Array.from({ length: SHARDS }, (_, i) => getBody(client, i))));
    });
  },
  run: (running, durationMs) =>
    KinesisClient.with(running.port, CONNECTIONS, (client) => {
      const bodies = getBodies.get(running) ?? [];
      return together(CONNECTIONS, durationMs, async (turn) => {
        const answer = await client.send('GetRecords', one(bodies, turn));
        const count = occurrences(answer, PARTITION_KEY);
        if (count === 0) throw new Error(`no records: ${answer.toString('utf8', 0, 300)}`);
        return count;
      });
    }),
};

function putRecordsWorkload(
  recordBytes: number,
  label: string,
  contenders: Workload['contenders'],
): Workload {
  return {
    title: `PutRecords, ${RECORDS_PER_PUT} × ${label}, ${SHARDS} shards, ${CONNECTIONS} connections`,
    unit: 'records',
    unitBytes: recordBytes,
    contenders,
    prepare: createStream,
    run: ({ port }, durationMs) =>
      KinesisClient.with(port, CONNECTIONS, (client) => {
        const bodies = Array.from({ length: BODIES }, () =>
          putRecordsBody(STREAM, RECORDS_PER_PUT, recordBytes),
        );
        return together(CONNECTIONS, durationMs, (turn) => putAll(client, one(bodies, turn)));
      }),
  };
}

/** How many records it put. A failed record would be a record that was not measured. */
export async function putAll(client: KinesisClient, body: Buffer): Promise<number> {
  const answer = await client.send('PutRecords', body);
  if (answer.includes(NONE_FAILED)) return RECORDS_PER_PUT;
  throw new Error(`records failed: ${answer.toString('utf8', 0, 300)}`);
}

async function createStream({ port }: Running): Promise<void> {
  await KinesisClient.with(port, 1, (client) => client.createStream(STREAM, SHARDS));
}

async function getBody(client: KinesisClient, shard: number): Promise<Buffer> {
  const { ShardIterator } = await client.call<{ ShardIterator: string }>('GetShardIterator', {
    StreamName: STREAM,
    ShardId: shardId(shard),
    ShardIteratorType: 'TRIM_HORIZON',
  });
  return bodyOf({ ShardIterator, Limit: GET_LIMIT });
}

function one(bodies: readonly Buffer[], turn: number): Buffer {
  const body = bodies[turn % bodies.length];
  if (body === undefined) throw new Error('no bodies to send');
  return body;
}

/** Parsing would measure the generator. */
function occurrences(text: Buffer, part: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

// Goal: the Kinesis Producer Library works against a server unmodified: its aggregates are stored as they are, and what the
// server refuses within a request is tried again and arrives once. Method: a Java program on the library, whose native part
// speaks TLS only; Maven fetches it.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { TestContext } from 'vitest';
import { decodeAggregate } from '../../stream/kpl-aggregate.ts';
import { classPath } from '../maven.ts';
import { CREDENTIALS, ROOT, run, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { kinesis } from '../signed-requests.ts';
import { needs } from '../tools.ts';

afterEach(stopAll);

const FOLDER = join(ROOT, 'test/interop/kpl');
const SHARD = 'shardId-000000000000';
const StreamName = 's';

const md5 = (bytes: Uint8Array): Uint8Array => createHash('md5').update(bytes).digest();

interface Puts {
  readonly count: number;
  readonly bytesEach: number;
  readonly keys: number;
}

async function serverWithStream(limits: 'aws' | 'off'): Promise<RunningServer> {
  const server = await startServer({
    env: {
      TRIBUTARY_SERVER_LIMITS: limits,
      TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true',
      TRIBUTARY_SERVER_TLS_PORT: '0',
    },
  });
  await kinesis(server.httpUrl, 'CreateStream', { StreamName, ShardCount: 1 });
  return server;
}

/** What the program said. */
async function put(
  context: TestContext,
  server: RunningServer,
  { count, bytesEach, keys }: Puts,
): Promise<string> {
  needs(context, 'java', 'mvn');
  const libraries = await classPath(join(FOLDER, 'pom.xml'), ['compile']);
  const { hostname, port } = new URL(String(server.ready['httpsUrl']));
  const all = `${join(FOLDER, 'target/classes')}:${libraries}`;
  const parameters = [hostname, port, StreamName, count, bytesEach, keys].map(String);
  const { stdout, stderr } = await run('java', ['-cp', all, 'producer.Producer', ...parameters], {
    env: {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    },
  });
  return stdout === '' ? stderr : stdout.trim();
}

interface Stored {
  /** Of the stream, aggregates or not. */
  readonly records: number;
  /** Key and number of each user record, in order. */
  readonly users: readonly string[];
}

async function stored({ httpUrl }: RunningServer): Promise<Stored> {
  const start = { StreamName, ShardId: SHARD, ShardIteratorType: 'TRIM_HORIZON' };
  let { ShardIterator } = (await kinesis(httpUrl, 'GetShardIterator', start)).body;
  const users: string[] = [];
  let records = 0;
  for (;;) {
    const { status, body } = await kinesis(httpUrl, 'GetRecords', { ShardIterator });
    // Reads are limited, too.
    if (status !== 200) {
      expect(body['__type']).toBe('ProvisionedThroughputExceededException');
      continue;
    }
    for (const { Data, PartitionKey } of body['Records'] as { Data: string; PartitionKey: string }[]) {
      const data = Buffer.from(Data, 'base64');
      const parts = decodeAggregate(data, md5) ?? [{ partitionKey: PartitionKey, data }];
      records += 1;
      users.push(...parts.map((part) => `${part.partitionKey} ${numberOf(part.data)}`));
    }
    if (body['MillisBehindLatest'] === 0) return { records, users };
    ShardIterator = body['NextShardIterator'];
  }
}

/** The text before the zeroes that fill it up. */
function numberOf(data: Uint8Array): number {
  return Number(Buffer.from(data).toString().replaceAll('\0', ''));
}

const expected = ({ count, keys }: Puts): string[] =>
  Array.from({ length: count }, (_, n) => `k${n % keys} ${n}`).toSorted();

test('aggregates hold every record', async (context) => {
  const server = await serverWithStream('off');
  const puts = { count: 5_000, bytesEach: 100, keys: 10 };
  expect(await put(context, server, puts)).toBe('succeeded 5000 errors');
  const { records, users } = await stored(server);
  expect(users.toSorted()).toEqual(expected(puts));
  expect(records).toBeLessThan(users.length / 10);
});

test('what is refused for the rate of a shard is put again', async (context) => {
  const server = await serverWithStream('aws');
  // Some 4 MB, too large to be aggregated, to a shard that takes 1 MB a second.
  const puts = { count: 80, bytesEach: 52_000, keys: 10 };
  expect(await put(context, server, puts)).toBe('succeeded 80 errors ProvisionedThroughputExceededException');
  const { users } = await stored(server);
  expect(users.toSorted()).toEqual(expected(puts));
});

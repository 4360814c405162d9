// PutRecords and GetRecords against other servers of the same API, by a raw generator with a real signature per request.
import { Agent, request } from 'node:http';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { signRequest } from '../runtime/sigv4/sign.ts';
import type { Contender, Running } from './contender.ts';
import type { Workload } from './measure.ts';

const MAIN = join(import.meta.dirname, '../cli/main.js');
const PEERS = join(import.meta.dirname, '../../node_modules/.cache/bench/node_modules');
const KEYS = { accessKeyId: 'BENCHKEY', secretAccessKey: 'bench-secret' };
const STREAM = 'bench';
const SHARDS = 4;
const CONNECTIONS = 4;
const RECORDS_PER_PUT = 500;
const RECORD_BYTES = 200;
const BODIES = 8;
const PRELOADED = 10_000;

const tributary: Contender = {
  name: 'tributary',
  durability: 'on the disk (fdatasync)',
  start: (folder, port) => ({
    command: process.execPath,
    args: [MAIN, 'server', '--data', folder, '--port', String(port)],
    env: {
      TRIBUTARY_ACCESS_KEY_ID: KEYS.accessKeyId,
      TRIBUTARY_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      TRIBUTARY_SERVER_LOG_LEVEL: 'warn',
      // Peers have none.
      TRIBUTARY_SERVER_LIMITS: 'off',
    },
  }),
};

const kinesalite: Contender = {
  name: 'kinesalite 3.3.3 (LevelDB)',
  durability: 'written, not flushed',
  start: (folder, port) => ({
    command: process.execPath,
    args: [
      join(PEERS, 'kinesalite/cli.js'),
      '--port',
      String(port),
      '--path',
      join(folder, 'db'),
      '--shardLimit',
      '100',
    ],
  }),
};

const kinesisLocal: Contender = {
  name: 'kinesis-local 0.6.2',
  durability: 'in memory',
  start: (_folder, port) => ({
    command: process.execPath,
    args: ['main.js'],
    // It reads its certificate from where it is started.
    cwd: join(PEERS, 'kinesis-local'),
    env: {
      KINESIS_MOCK_PLAIN_PORT: String(port),
      KINESIS_MOCK_TLS_PORT: String(port + 1),
      LOG_LEVEL: 'ERROR',
    },
  }),
};

const CONTENDERS = [tributary, kinesalite, kinesisLocal];

export const putRecordsWorkload: Workload = {
  title: `PutRecords, ${RECORDS_PER_PUT} × ${RECORD_BYTES} B, ${SHARDS} shards, ${CONNECTIONS} connections`,
  unit: 'records',
  contenders: CONTENDERS,
  prepare: createStream,
  run: async (running, durationMs) => {
    const bodies = Array.from({ length: BODIES }, () => putBody(RECORDS_PER_PUT));
    return together(durationMs, async (turn) => {
      const answer = await call(running, 'PutRecords', bodies[turn % BODIES] ?? Buffer.alloc(0));
      // Peers throttle nothing; a failed record would be a record that was not measured.
      if (!/"FailedRecordCount":0/.test(answer)) throw new Error(`records failed: ${answer.slice(0, 300)}`);
      return RECORDS_PER_PUT;
    });
  },
};

const iterators = new WeakMap<Running, string[]>();

export const getRecordsWorkload: Workload = {
  title: `GetRecords over ${PRELOADED} records of ${RECORD_BYTES} B, Limit 10000`,
  unit: 'records',
  contenders: CONTENDERS,
  prepare: async (running) => {
    await createStream(running);
    const body = putBody(RECORDS_PER_PUT);
    for (let put = 0; put < PRELOADED / RECORDS_PER_PUT; put += 1) await call(running, 'PutRecords', body);
    const starts: string[] = [];
    for (let shard = 0; shard < SHARDS; shard += 1) {
      const ShardId = `shardId-${String(shard).padStart(12, '0')}`;
      const input = { StreamName: STREAM, ShardId, ShardIteratorType: 'TRIM_HORIZON' };
      const answer = await call(running, 'GetShardIterator', Buffer.from(JSON.stringify(input)));
      starts.push((JSON.parse(answer) as { ShardIterator: string }).ShardIterator);
    }
    iterators.set(running, starts);
  },
  run: (running, durationMs) =>
    together(durationMs, async (turn) => {
      const ShardIterator = iterators.get(running)?.[turn % SHARDS];
      const answer = await call(
        running,
        'GetRecords',
        Buffer.from(JSON.stringify({ ShardIterator, Limit: 10_000 })),
      );
      // Counted in the text: parsing would measure the generator.
      const count = answer.split('"PartitionKey"').length - 1;
      if (count === 0) throw new Error(`no records: ${answer.slice(0, 300)}`);
      return count;
    }),
};

async function createStream(running: Running): Promise<void> {
  const input = { StreamName: STREAM, ShardCount: SHARDS };
  await call(running, 'CreateStream', Buffer.from(JSON.stringify(input)));
  for (;;) {
    const answer = await call(running, 'DescribeStream', Buffer.from(JSON.stringify({ StreamName: STREAM })));
    if (/"StreamStatus":"ACTIVE"/.test(answer)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function putBody(count: number): Buffer {
  const records = Array.from({ length: count }, () => ({
    Data: randomBytes(RECORD_BYTES).toString('base64'),
    PartitionKey: randomBytes(8).toString('hex'),
  }));
  return Buffer.from(JSON.stringify({ StreamName: STREAM, Records: records }));
}

/** CONNECTIONS callers, each one request at a time, until the time is over. */
async function together(durationMs: number, step: (turn: number) => Promise<number>): Promise<number> {
  const end = Date.now() + durationMs;
  let turn = 0;
  let units = 0;
  const caller = async (): Promise<void> => {
    while (Date.now() < end) {
      // Apart: `+=` would take the sum from before the wait.
      const done = await step(turn++);
      units += done;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, caller));
  return units;
}

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

function call(running: Running, operation: string, body: Buffer): Promise<string> {
  const headers = {
    'content-type': 'application/x-amz-json-1.1',
    host: `127.0.0.1:${running.port}`,
    'x-amz-target': `Kinesis_20131202.${operation}`,
  };
  const signed = signRequest({ method: 'POST', url: '/', headers, body }, KEYS, {
    region: 'us-east-1',
    service: 'kinesis',
    now: Date.now(),
  });
  return new Promise((resolve, reject) => {
    const options = { port: running.port, host: '127.0.0.1', method: 'POST', path: '/', agent };
    const sent = request({ ...options, headers: signed }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('latin1');
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${operation}: ${response.statusCode} ${text.slice(0, 300)}`));
      });
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

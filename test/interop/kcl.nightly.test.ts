// Goal: consumers on the Kinesis Client Library work against a server unmodified, polling and pushed: through a split and a
// merge, a killed server and a killed worker. Method: a Java program on the library, with DynamoDB Local for its leases;
// Maven fetches both.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KclWorker, startLeaseStore } from '../kcl.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { kinesis } from '../signed-requests.ts';
import { isThere, needs } from '../tools.ts';

const KEYS = 12;
const KEY_NAMES = Array.from({ length: KEYS }, (_, key) => `k${key}`);
const ROUNDS_BETWEEN = 10;
const ROUND_MS = 200;
const SHARD = (index: number): string => `shardId-${String(index).padStart(12, '0')}`;

let server: RunningServer;
let leasesUrl: string | null = null;
beforeAll(async () => {
  server = await startServer();
  if (isThere('java') && isThere('mvn')) leasesUrl = await startLeaseStore();
}, 600_000);
afterAll(stopAll);

async function call(operation: string, input: object): Promise<void> {
  const { status, text, body } = await kinesis(server.httpUrl, operation, input);
  expect([operation, status, status === 200 ? '' : text]).toEqual([operation, 200, '']);
  expect(body['FailedRecordCount'] ?? 0).toBe(0);
}

/** Writes rounds of one record for each key until it is stopped. */
class Writer {
  readonly #stream: string;
  #isOver = false;
  #running: Promise<void> = Promise.resolve();
  rounds = 0;

  constructor(stream: string) {
    this.#stream = stream;
  }

  start(): void {
    this.#isOver = false;
    this.#running = this.#write();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #write(): Promise<void> {
    for (; !this.#isOver; this.rounds += 1) {
      const Data = Buffer.from(String(this.rounds)).toString('base64');
      const Records = KEY_NAMES.map((PartitionKey) => ({ PartitionKey, Data }));
      await call('PutRecords', { StreamName: this.#stream, Records });
      await sleep(ROUND_MS);
    }
  }
}

/** Texts of each key in the order of their first arrival. */
function byKey(records: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const record of new Set(records)) {
    const [key = '', text = ''] = record.split(' ');
    (found[key] ??= []).push(text);
  }
  return found;
}

const hasRound = (round: number) => (worker: KclWorker) => {
  const records = new Set(worker.events('record'));
  return KEY_NAMES.every((key) => records.has(`${key} ${round} 0`));
};

const hasEnded =
  (...indexes: number[]) =>
  (worker: KclWorker) =>
    indexes.every((index) => worker.events('ended').includes(SHARD(index)));

describe.each(['2.7.2', '3.5.1'])('version %s', (version) => {
  test.for(['polling', 'fanout'] as const)(
    'a stream that is split and merged, a killed server, a killed worker: %s',
    async (mode, context) => {
      needs(context, 'java', 'mvn');
      if (leasesUrl === null) return context.skip('DynamoDB Local has no library for this machine');
      const StreamName = `${mode}-${version}`;
      await call('CreateStream', { StreamName, ShardCount: 2 });
      const writer = new Writer(StreamName);
      writer.start();
      const start = { version, serverUrl: server.httpUrl, leasesUrl, stream: StreamName, mode };
      const first = await KclWorker.start(start);
      await first.until(hasRound(ROUNDS_BETWEEN));

      await call('SplitShard', {
        StreamName,
        ShardToSplit: SHARD(0),
        NewStartingHashKey: String(2n ** 126n),
      });
      await first.until(hasEnded(0));
      await call('MergeShards', { StreamName, ShardToMerge: SHARD(3), AdjacentShardToMerge: SHARD(1) });
      await first.until(hasEnded(3, 1));
      await first.until(hasRound(writer.rounds + ROUNDS_BETWEEN));

      await writer.stop();
      await server.kill('SIGKILL');
      server = await server.restart();
      writer.start();
      await first.until(hasRound(writer.rounds + ROUNDS_BETWEEN));
      const records = first.events('record');
      // Nothing was read twice so far.
      expect(records).toHaveLength(new Set(records).size);

      await first.kill('SIGKILL');
      const second = await KclWorker.start(start);
      await second.until(hasRound(writer.rounds + ROUNDS_BETWEEN));
      await writer.stop();
      await second.until(hasRound(writer.rounds - 1));
      await second.kill('SIGTERM');

      const written = Array.from({ length: writer.rounds }, (_, round) => String(round));
      expect(byKey([...first.events('record'), ...second.events('record')])).toEqual(
        Object.fromEntries(KEY_NAMES.map((key) => [key, written])),
      );
    },
  );
});

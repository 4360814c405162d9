// Goal: the AWS SDK for JavaScript works against a server unmodified: its default handler, which speaks HTTP/2 with a new
// session for each request, and the one for HTTP/1.1, in plaintext and over TLS. Method: a process for each
// story.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CREDENTIALS, ROOT, run, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

interface Lineage {
  readonly rounds: number;
  readonly openCounts: readonly number[];
  /** Data by key. */
  readonly polled: Readonly<Record<string, readonly string[]>>;
  readonly pushed: Readonly<Record<string, readonly string[]>>;
}

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    env: { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' },
  });
});
afterAll(stopAll);

const numbers = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => from + index).join(' ');

/** What the program printed. Its warnings are failures. */
async function runProgram(name: string, url: string, handler: string): Promise<unknown> {
  const program = join(ROOT, 'dist/test/interop', name);
  const { code, stdout, stderr } = await run(
    process.execPath,
    [program, String(server.ready[url]), handler],
    {
      env: {
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
        NODE_EXTRA_CA_CERTS: join(server.data, 'tls-certificate.pem'),
        NODE_NO_WARNINGS: '1',
      },
    },
  );
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe.each([
  ['default', 'httpUrl'],
  ['http1', 'httpUrl'],
  ['default', 'httpsUrl'],
  ['http1', 'httpsUrl'],
])('through the %s handler at the %s', (handler, url) => {
  test('streams, records and a subscription', async () => {
    expect(await runProgram('js-sdk-tour.js', url, handler)).toEqual({
      reads: [numbers(0, 10), '', numbers(5, 10), numbers(6, 10), numbers(5, 10)],
      pushed: numbers(0, 25),
      children: ['shardId-000000000001', 'shardId-000000000002'],
      continues: false,
    });
  });

  test('shards change under a writer and two consumers: nothing is lost, doubled or out of order', async () => {
    const seen = (await runProgram('js-sdk-lineage.js', url, handler)) as Lineage;
    expect(seen.openCounts).toEqual([3, 2, 4, 2]);
    const written = Array.from({ length: seen.rounds }, (_, round) => String(round));
    const keys = Array.from({ length: 12 }, (_, key) => `k${key}`);
    const all = { ...Object.fromEntries(keys.map((key) => [key, written])), end: ['end', 'end'] };
    expect(seen.polled).toEqual(all);
    expect(seen.pushed).toEqual(all);
  });
});

// Goal: the AWS SDK for JavaScript works against a server unmodified: its default handler, which speaks HTTP/2 with a new
// session for each request, and the one for HTTP/1.1, in plaintext and over TLS. Method: one process that takes the tour.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDENTIALS, ROOT, run, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

const TOUR = join(ROOT, 'dist/test/interop/js-sdk-tour.js');

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    env: { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' },
  });
});
afterAll(stopAll);

const numbers = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => from + index).join(' ');

test.each([
  ['default', 'httpUrl'],
  ['http1', 'httpUrl'],
  ['default', 'httpsUrl'],
  ['http1', 'httpsUrl'],
])('streams, records and a subscription through the %s handler at the %s', async (handler, url) => {
  const { code, stdout, stderr } = await run(process.execPath, [TOUR, String(server.ready[url]), handler], {
    env: {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      NODE_EXTRA_CA_CERTS: join(server.data, 'tls-certificate.pem'),
      NODE_NO_WARNINGS: '1',
    },
  });
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual({
    reads: [numbers(0, 10), '', numbers(5, 10), numbers(6, 10), numbers(5, 10)],
    pushed: numbers(0, 25),
    children: ['shardId-000000000001', 'shardId-000000000002'],
    continues: false,
  });
});

// Goal: boto3 finds all of the service: what its other tests leave out, and shards that change under it. Method: one Python
// process for each story, in plaintext and over TLS.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { boto3Knows, runBoto3 } from '../boto3.ts';
import { guestKeys } from '../guest.ts';
import { expectWholeLineage } from '../lineage-check.ts';
import type { SeenLineage } from '../lineage-check.ts';
import { ROOT, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    env: { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' },
  });
});
afterAll(stopAll);

type BotoLineage = SeenLineage & { readonly failures: readonly string[] };

const program = (name: string): string => readFileSync(join(ROOT, 'test/interop', name), 'utf8');

test.for(['httpUrl', 'httpsUrl'])(
  'shards change under a writer and two consumers at the %s: nothing is lost, doubled or out of order',
  async (url, context) => {
    const env = { AWS_CA_BUNDLE: join(server.data, 'tls-certificate.pem') };
    const text = program('boto3-lineage.py');
    const seen = (await runBoto3(context, text, String(server.ready[url]), { env })) as BotoLineage;
    expect(seen.failures).toEqual([]);
    expectWholeLineage(seen);
  },
);

test('streams of both modes, iterators, pages and settings', async (context) => {
  if (!(await boto3Knows('CreateStream', 'Tags'))) return;
  const parameters = ['on_demand', 'iterators', 'pagination', 'encryption', 'settings'];
  const seen = await runBoto3(context, program('boto3-tour.py'), server.httpUrl, { parameters });
  expect(seen).toEqual({
    on_demand: {
      shards: ['shardId-000000000000', 'shardId-000000000003'],
      refused: 'ValidationException',
      count: 4,
    },
    iterators: ['abc', '', 'bc', 'c', 'abc'],
    pagination: { streams: [2, 1], shards: [2, 1], described: [2, 1], tags: [2, true, 1, false] },
    encryption: {
      puts: [null, 'KMS', null],
      head: ['KMS', 'alias/aws/kinesis'],
      unknown: 'KMSNotFoundException',
      records: [
        ['secret', null],
        ['secret', 'KMS'],
        ['secret', null],
      ],
    },
    settings: { metrics: [7, 6], hours: [8760, 24], limits: 1, account: 'DISABLED' },
  });
});

test('errors have their classes', async (context) => {
  if (!(await boto3Knows('GetResourcePolicy'))) return;
  const limited = await startServer({ env: { TRIBUTARY_SERVER_LIMITS: 'aws' } });
  const env = await guestKeys(limited.httpUrl);
  const options = { env, parameters: ['errors'] };
  expect(await runBoto3(context, program('boto3-tour.py'), limited.httpUrl, options)).toEqual({
    errors: {
      missing: 'ResourceNotFoundException',
      twice: 'ResourceInUseException',
      argument: 'InvalidArgumentException',
      constraint: 'ValidationException',
      limit: 'LimitExceededException',
      denied: 'AccessDeniedException',
      failed: true,
      codes: ['ProvisionedThroughputExceededException'],
    },
  });
});

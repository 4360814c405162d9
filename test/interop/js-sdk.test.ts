// Goal: the AWS SDK for JavaScript works against a server unmodified: its default handler, which speaks HTTP/2 with a new
// session for each request, and the one for HTTP/1.1, in plaintext and over TLS. Method: a process for each
// story.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runSdkProgram } from '../js-sdk.ts';
import { expectWholeLineage } from '../lineage-check.ts';
import type { SeenLineage } from '../lineage-check.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    env: { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' },
  });
});
afterAll(stopAll);

const numbers = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => from + index).join(' ');

describe.each([
  ['default', 'httpUrl'],
  ['http1', 'httpUrl'],
  ['default', 'httpsUrl'],
  ['http1', 'httpsUrl'],
] as const)('through the %s handler at the %s', (handler, url) => {
  test('streams, records and a subscription', async () => {
    expect(await runSdkProgram(server, { name: 'js-sdk-tour', url, handler })).toEqual({
      reads: [numbers(0, 10), '', numbers(5, 10), numbers(6, 10), numbers(5, 10)],
      pushed: numbers(0, 25),
      children: ['shardId-000000000001', 'shardId-000000000002'],
      continues: false,
    });
  });

  test('shards change under a writer and two consumers: nothing is lost, doubled or out of order', async () => {
    const seen = await runSdkProgram(server, { name: 'js-sdk-lineage', url, handler });
    expectWholeLineage(seen as SeenLineage);
  });

  test('streams, consumers, tags, policies and settings are managed', async () => {
    expect(await runSdkProgram(server, { name: 'js-sdk-control', url, handler })).toEqual({
      onDemand: {
        shards: ['shardId-000000000000', 'shardId-000000000003'],
        refused: 'ValidationException',
        OpenShardCount: 4,
        mode: 'PROVISIONED',
      },
      consumers: {
        pages: ['a b', 'c'],
        status: 'ACTIVE',
        isDated: true,
        twice: 'ResourceInUseException',
        kept: 'ResourceInUseException',
        missing: 'ResourceNotFoundException',
        ConsumerCount: 2,
      },
      tags: { pages: ['a b', 'c'], left: ['b=new', 'd='] },
      policies: {
        none: '{}',
        same: true,
        malformed: 'InvalidArgumentException',
        deleted: 'ResourceNotFoundException',
      },
      encryption: {
        puts: ['none', 'KMS', 'none'],
        EncryptionType: 'KMS',
        KeyId: 'alias/aws/kinesis',
        unknown: 'KMSNotFoundException',
        records: ['a none', 'b KMS', 'c none'],
      },
      settings: {
        hours: [8760, 25],
        refused: 'InvalidArgumentException',
        metrics: [7, 5],
        MaxRecordSizeInKiB: 2048,
      },
      account: {
        ShardLimit: 1000,
        OpenShardCount: 0,
        OnDemandStreamCountLimit: 50,
        commitment: 'DISABLED',
      },
      pagination: {
        streams: ['page-a', 'page-b', 'page-c'].map((topic) => `${topic}-${handler}`),
        shards: [2, 1],
        described: ['shardId-000000000001'],
        more: true,
      },
    });
  });
});

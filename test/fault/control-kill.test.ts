// Goal: what the control plane acknowledged is there after kill -9, and nothing is half done. Method: a real process, killed
// as soon as it has answered, and started again.
import { afterEach, expect, it } from 'vitest';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { kinesis } from '../signed-requests.ts';

afterEach(stopAll);

const StreamName = 's';
const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s';
const Policy = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Principal: '*', Action: 'kinesis:GetRecords', Resource: StreamARN },
});

async function call(
  { httpUrl }: RunningServer,
  operation: string,
  input: object,
): Promise<Readonly<Record<string, unknown>>> {
  const { status, text, body } = await kinesis(httpUrl, operation, input);
  expect([operation, status, status === 200 ? '' : text]).toEqual([operation, 200, '']);
  return body;
}

const summary = async (server: RunningServer) =>
  (await call(server, 'DescribeStreamSummary', { StreamName }))['StreamDescriptionSummary'];

/** Each is called, killed behind, and looked for in the next life. */
const CHANGES: readonly (readonly [string, object, (server: RunningServer) => Promise<void>])[] = [
  [
    'CreateStream',
    { StreamName, ShardCount: 2 },
    async (server) => {
      expect(await summary(server)).toMatchObject({ StreamStatus: 'ACTIVE', OpenShardCount: 2 });
    },
  ],
  [
    'IncreaseStreamRetentionPeriod',
    { StreamName, RetentionPeriodHours: 48 },
    async (server) => expect(await summary(server)).toMatchObject({ RetentionPeriodHours: 48 }),
  ],
  [
    'AddTagsToStream',
    { StreamName, Tags: { a: '1' } },
    async (server) => {
      const { Tags } = await call(server, 'ListTagsForStream', { StreamName });
      expect(Tags).toEqual([{ Key: 'a', Value: '1' }]);
    },
  ],
  [
    'RegisterStreamConsumer',
    { StreamARN, ConsumerName: 'c' },
    async (server) => {
      const found = await call(server, 'DescribeStreamConsumer', { StreamARN, ConsumerName: 'c' });
      expect(found['ConsumerDescription']).toMatchObject({ ConsumerStatus: 'ACTIVE' });
    },
  ],
  [
    'PutResourcePolicy',
    { ResourceARN: StreamARN, Policy },
    async (server) => {
      expect(await call(server, 'GetResourcePolicy', { ResourceARN: StreamARN })).toEqual({ Policy });
    },
  ],
  [
    'StartStreamEncryption',
    { StreamName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' },
    async (server) => {
      expect(await summary(server)).toMatchObject({ EncryptionType: 'KMS' });
      const put = await call(server, 'PutRecord', { StreamName, PartitionKey: 'k', Data: 'AAAA' });
      expect(put).toMatchObject({ EncryptionType: 'KMS' });
    },
  ],
  [
    'SplitShard',
    { StreamName, ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '7' },
    async (server) => expect(await summary(server)).toMatchObject({ OpenShardCount: 3 }),
  ],
  [
    'UpdateStreamMode',
    { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } },
    async (server) =>
      expect(await summary(server)).toMatchObject({ StreamModeDetails: { StreamMode: 'ON_DEMAND' } }),
  ],
  [
    'DeregisterStreamConsumer',
    { StreamARN, ConsumerName: 'c' },
    async (server) => expect(await summary(server)).toMatchObject({ ConsumerCount: 0 }),
  ],
  [
    'DeleteStream',
    { StreamName },
    async (server) => {
      expect((await call(server, 'ListStreams', {}))['StreamNames']).toEqual([]);
    },
  ],
];

it('every acknowledged change', async () => {
  let server = await startServer();
  for (const [operation, input, look] of CHANGES) {
    await call(server, operation, input);
    await server.kill('SIGKILL');
    server = await server.restart();
    await look(server);
  }
});

// Goal: what a stream's own key encrypts is nowhere in the data folder in the clear, through a kill and a rotation of the
// server's own key, and is told by nobody without its key. Method: the built program, its files read byte by byte.
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { runBoto3 } from '../boto3.ts';
import { credentialEnvironment, runCli, startServer, stopAll, temporaryFolder } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { kinesis } from '../signed-requests.ts';

afterEach(stopAll);

const SECRET = 'the-vault-is-open';
const PLAIN = 'the-door-is-shut';

function configOf(keys: object): string {
  const path = join(temporaryFolder('config'), 'config.json');
  writeFileSync(path, JSON.stringify({ keys }));
  return path;
}

function bytesOf(folder: string): string {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path).toString('latin1'))
    .join('');
}

const StreamName = 's';
const ok = async ({ httpUrl }: RunningServer, operation: string, input: object) => {
  const { status, text, body } = await kinesis(httpUrl, operation, input);
  expect([operation, status, status === 200 ? '' : text]).toEqual([operation, 200, '']);
  return body;
};
const put = (server: RunningServer, text: string) =>
  ok(server, 'PutRecord', { StreamName, PartitionKey: text, Data: Buffer.from(text).toString('base64') });
const iterator = async (server: RunningServer) => {
  const ShardId = 'shardId-000000000000';
  return (await ok(server, 'GetShardIterator', { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }))[
    'ShardIterator'
  ];
};
const read = async (server: RunningServer) => {
  const { Records } = await ok(server, 'GetRecords', { ShardIterator: await iterator(server) });
  return (Records as { Data: string }[]).map(({ Data }) => Buffer.from(Data, 'base64').toString());
};

it('a key of the operator', async () => {
  const keyFile = join(temporaryFolder('keys'), 'orders.key');
  writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });
  const keys = { orders: { provider: 'file', keyFile, aliases: ['orders'] } };
  let server = await startServer({ parameters: ['--config', configOf(keys)] });
  const { data } = server;
  await ok(server, 'CreateStream', { StreamName, ShardCount: 1 });
  await put(server, PLAIN);
  const encryption = { StreamName, EncryptionType: 'KMS', KeyId: 'alias/orders' };
  await ok(server, 'StartStreamEncryption', encryption);
  expect(await put(server, SECRET)).toMatchObject({ EncryptionType: 'KMS' });
  await server.kill('SIGKILL');
  server = await server.restart();
  expect(await read(server)).toEqual([PLAIN, SECRET]);
  const files = bytesOf(data);
  expect([files.includes(PLAIN), files.includes(SECRET)]).toEqual([true, false]);

  await server.kill('SIGTERM');
  // What seals a block is not needed to see that it is whole.
  const verified = await runCli(['log', 'verify', data, '--json']);
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, streams: { s: { records: 2 } } });
  const without = await startServer({ data });
  const refused = await kinesis(without.httpUrl, 'GetRecords', { ShardIterator: await iterator(without) });
  expect(refused.body).toMatchObject({ __type: 'KMSNotFoundException' });
  await ok(without, 'StopStreamEncryption', encryption);
  await put(without, PLAIN);
});

it('the built-in key, also when the master key of the folder is rotated', async () => {
  let server = await startServer();
  const { data } = server;
  await ok(server, 'CreateStream', { StreamName, ShardCount: 1 });
  await ok(server, 'StartStreamEncryption', {
    StreamName,
    EncryptionType: 'KMS',
    KeyId: 'alias/aws/kinesis',
  });
  await put(server, SECRET);
  await server.kill('SIGTERM');
  const rotated = await runCli(['keys', 'rotate', data], { env: credentialEnvironment() });
  expect([rotated.code, rotated.stderr]).toEqual([0, '']);
  server = await startServer({ data });
  await put(server, `${SECRET} again`);
  expect(await read(server)).toEqual([SECRET, `${SECRET} again`]);
  expect(bytesOf(data).includes(SECRET)).toBe(false);
});

const PROGRAM = `
import boto3, json, sys
client = boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1')
client.create_stream(StreamName='b', ShardCount=1)
client.start_stream_encryption(StreamName='b', EncryptionType='KMS', KeyId='alias/aws/kinesis')
put = client.put_record(StreamName='b', Data=b'x', PartitionKey='k')
seen = client.describe_stream(StreamName='b')['StreamDescription']
iterator = client.get_shard_iterator(StreamName='b', ShardId=put['ShardId'], ShardIteratorType='TRIM_HORIZON')['ShardIterator']
record = client.get_records(ShardIterator=iterator)['Records'][0]
consumer = client.register_stream_consumer(StreamARN=seen['StreamARN'], ConsumerName='c')['Consumer']['ConsumerARN']
events = client.subscribe_to_shard(ConsumerARN=consumer, ShardId=put['ShardId'], StartingPosition={'Type': 'TRIM_HORIZON'})['EventStream']
pushed = next(e['SubscribeToShardEvent']['Records'][0] for e in events if e['SubscribeToShardEvent']['Records'])
try: client.start_stream_encryption(StreamName='b', EncryptionType='KMS', KeyId='none')
except client.exceptions.KMSNotFoundException as error: refused = error.response['Error']['Code']
client.stop_stream_encryption(StreamName='b', EncryptionType='KMS', KeyId='alias/aws/kinesis')
print(json.dumps(dict(put=put['EncryptionType'], seen=[seen['EncryptionType'], seen['KeyId']], record=record['EncryptionType'],
    pushed=[pushed['EncryptionType'], pushed['Data'].decode()], refused=refused)))
`;

it('through boto3', async (context) => {
  const server = await startServer();
  expect(await runBoto3(context, PROGRAM, server.httpUrl)).toEqual({
    put: 'KMS',
    seen: ['KMS', 'alias/aws/kinesis'],
    record: 'KMS',
    pushed: ['KMS', 'x'],
    refused: 'KMSNotFoundException',
  });
});

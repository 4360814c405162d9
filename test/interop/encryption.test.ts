// Goal: with encryption on at both sides nothing a sensor said is on either disk in the clear, and everything works as
// without it: restarts, rotation, the command line. A key that is missing or wrong stops the program and changes nothing.
// Method: the built programs, their files read byte by byte.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { KMS_CREDENTIALS, LocalKms } from '../kms.ts';
import {
  credentialEnvironment,
  runCli,
  startGateway,
  startServer,
  stopAll,
  temporaryFolder,
} from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { kinesis } from '../signed-requests.ts';
import { RawClient, connectPacket, publishPacket } from '../unit/mqtt-rig.ts';

const SECRET = 'the-vault-is-open';
let kms: LocalKms | null = null;

afterEach(async () => {
  await stopAll();
  await kms?.close();
  kms = null;
});

function configOf(encryption: object, more: object = {}): string {
  const path = join(temporaryFolder('config'), 'config.json');
  writeFileSync(path, JSON.stringify({ encryption, ...more }));
  return path;
}

async function textsOf({ httpUrl }: RunningServer): Promise<string[]> {
  const input = {
    StreamName: 'telemetry',
    ShardId: 'shardId-000000000000',
    ShardIteratorType: 'TRIM_HORIZON',
  };
  const { body } = await kinesis(httpUrl, 'GetShardIterator', input);
  const texts: string[] = [];
  for (let iterator = body['ShardIterator']; iterator !== undefined;) {
    const page = await kinesis(httpUrl, 'GetRecords', { ShardIterator: iterator, Limit: 7 });
    const records = (page.body['Records'] ?? []) as { Data: string }[];
    if (records.length === 0) break;
    texts.push(...records.map(({ Data }) => Buffer.from(Data, 'base64').toString()));
    iterator = page.body['NextShardIterator'];
  }
  return texts;
}

async function publish(port: number, from: number, to: number): Promise<string[]> {
  const client = await RawClient.open(port);
  client.send(connectPacket({ id: `sensor-${from}` }));
  await client.next();
  const texts = Array.from({ length: to - from }, (_, index) => `${SECRET} ${from + index}`);
  for (const [index, payload] of texts.entries())
    client.send(publishPacket({ topic: 'plant/vault', payload, qos: 1, id: index + 1 }));
  for (const _ of texts) expect(await client.next()).toMatch(/^4002/);
  client.destroy();
  return texts;
}

const contains = (path: string) => readFileSync(path).includes(SECRET);

it('keeps a gateway’s and a server’s records sealed, through restarts and rotations of both', async () => {
  const encryption = { provider: 'file' };
  let server = await startServer({ parameters: ['--config', configOf(encryption)] });
  const code = await runCli(['enrol-code', '--server', server.httpUrl], { env: credentialEnvironment() });
  const enrol = code.stdout.trim().split('\n').at(-1) ?? '';
  let gateway = await startGateway({
    parameters: ['--config', configOf(encryption), '--server', server.httpUrl, '--enrol', enrol],
  });
  const sent: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    sent.push(...(await publish(gateway.mqttPort, round * 100, round * 100 + 100)));
    while ((await textsOf(server)).length < sent.length) await sleep(50);
    expect(await textsOf(server)).toEqual(sent);
    await gateway.kill(round === 1 ? 'SIGKILL' : 'SIGTERM');
    await server.kill(round === 1 ? 'SIGKILL' : 'SIGTERM');
    for (const { data } of [gateway, server]) {
      const rotated = await runCli(['keys', 'rotate', data, '--json']);
      expect(rotated).toMatchObject({ code: 0, stderr: '' });
      // The second time the key of the secrets is in the table, too.
      expect(JSON.parse(rotated.stdout)).toMatchObject({
        schema: 'tributary.keys-rotate/1',
        dataKey: `keys/${String(round + 2).padStart(10, '0')}`,
      });
    }
    server = await server.restart();
    gateway = await gateway.restart();
  }
  expect(await textsOf(server)).toEqual(sent);
  const listed = await runCli(['keys', 'list', server.data, '--json']);
  const { schema, keys } = JSON.parse(listed.stdout) as {
    schema: string;
    keys: { id: string; seals: string }[];
  };
  expect(schema).toBe('tributary.keys/1');
  expect(keys.map(({ id, seals }) => `${seals} ${id}`)).toEqual([
    ...[1, 2, 3, 4].map((id) => `blocks ${String(id).padStart(10, '0')}`),
    'secrets secrets',
  ]);
  await gateway.kill('SIGTERM');
  await server.kill('SIGTERM');
  for (const [folder, file] of [
    [gateway.data, 'gateway.mdb'],
    [server.data, 'server.mdb'],
  ] as const) {
    expect(contains(join(folder, file)), file).toBe(false);
    const verified = await runCli(['log', 'verify', folder, '--json']);
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, records: sent.length });
  }
});

it('stops with a precise error when the key is missing or wrong, and changes nothing', async () => {
  const config = configOf({ provider: 'file' });
  const gateway = await startGateway({ parameters: ['--config', config] });
  await publish(gateway.mqttPort, 0, 20);
  await gateway.kill('SIGTERM');
  const [store, key] = [join(gateway.data, 'gateway.mdb'), join(gateway.data, 'gateway.key')];
  const before = readFileSync(store);
  const good = readFileSync(key);
  const attempts: [string, RegExp][] = [
    ['wrong', /gateway\.key is not the key of this store.*restore the right key from its backup/],
    ['missing', /gateway\.key is missing.*restore it from its backup/],
  ];
  for (const [kind, message] of attempts) {
    if (kind === 'wrong') writeFileSync(key, randomBytes(32));
    else rmSync(key);
    for (const command of [
      ['gateway', '--data', gateway.data, '--mqtt-port', '0', '--status-port', '0', '--config', config],
      ['gateway', '--data', gateway.data, '--mqtt-port', '0', '--status-port', '0'],
      ['keys', 'rotate', gateway.data],
      ['identity', 'reset', gateway.data, '--yes'],
    ]) {
      const { code, stderr } = await runCli(command);
      expect([code, stderr], command.join(' ')).toEqual([1, expect.stringMatching(message)]);
      expect(readFileSync(store).equals(before), command.join(' ')).toBe(true);
    }
    expect(existsSync(key)).toBe(kind === 'wrong');
  }
  writeFileSync(key, good, { mode: 0o600 });
  const again = await gateway.restart();
  await publish(again.mqttPort, 20, 40);
});

it('seals with a systemd credential at the gateway and AWS KMS at the server; nothing of either is in the folder', async () => {
  kms = await LocalKms.open('alias/tributary', 'alias/next');
  const folder = temporaryFolder('credentials');
  writeFileSync(join(folder, 'tributary'), randomBytes(32));
  const credential = configOf({ provider: 'systemd-credential' });
  const gateway = await startGateway({
    parameters: ['--config', credential],
    env: { CREDENTIALS_DIRECTORY: folder },
  });
  await publish(gateway.mqttPort, 0, 20);
  await gateway.kill('SIGTERM');
  expect(existsSync(join(gateway.data, 'gateway.key'))).toBe(false);
  expect(contains(join(gateway.data, 'gateway.mdb'))).toBe(false);
  renameSync(join(folder, 'tributary'), join(folder, 'next'));
  const refused = await runCli(
    ['gateway', '--data', gateway.data, '--config', credential, '--mqtt-port', '0'],
    {
      env: { CREDENTIALS_DIRECTORY: folder },
    },
  );
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining('LoadCredentialEncrypted=tributary'),
  ]);

  const env = {
    AWS_ACCESS_KEY_ID: KMS_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: KMS_CREDENTIALS.secretAccessKey,
  };
  const settings = {
    provider: 'aws-kms',
    keyId: 'alias/tributary',
    region: 'eu-central-1',
    endpoint: kms.endpoint,
  };
  const server = await startServer({ parameters: ['--config', configOf(settings)], env });
  await kinesis(server.httpUrl, 'CreateStream', { StreamName: 'telemetry', ShardCount: 1 });
  const records = Array.from({ length: 20 }, (_, index) => ({
    Data: Buffer.from(`${SECRET} ${index}`).toString('base64'),
    PartitionKey: SECRET,
  }));
  for (;;) {
    const { status } = await kinesis(server.httpUrl, 'PutRecords', {
      StreamName: 'telemetry',
      Records: records,
    });
    if (status === 200) break;
    await sleep(50);
  }
  await server.kill('SIGTERM');
  expect(existsSync(join(server.data, 'server.key'))).toBe(false);
  expect(contains(join(server.data, 'server.mdb'))).toBe(false);
  const rotated = await runCli(
    [
      'keys',
      'rotate',
      server.data,
      '--kms-key',
      'alias/next',
      '--kms-region',
      'eu-central-1',
      '--kms-endpoint',
      kms.endpoint,
    ],
    { env },
  );
  expect(rotated).toMatchObject({ code: 0, stderr: '' });
  const again = await server.restart();
  expect((await textsOf(again)).length).toBe(20);
  await again.kill('SIGTERM');
  await kms.close();
  const before = readFileSync(join(server.data, 'server.mdb'));
  const offline = await runCli(
    ['server', '--data', server.data, '--port', '0', '--config', configOf(settings)],
    { env },
  );
  expect([offline.code, offline.stderr]).toEqual([
    1,
    expect.stringMatching(/AWS KMS at 127\.0\.0\.1:\d+ cannot be reached/),
  ]);
  expect(readFileSync(join(server.data, 'server.mdb')).equals(before)).toBe(true);
  kms = null;
});

it('says what is wrong with a command', async () => {
  const folder = temporaryFolder('nothing');
  expect(await runCli(['keys', 'list', folder])).toMatchObject({ code: 3 });
  expect(await runCli(['keys', 'rotate', folder, '--kms-key', 'k'])).toMatchObject({ code: 2 });
  expect(await runCli(['keys', 'rotate', folder, '--key-file', 'a', '--credential', 'b'])).toMatchObject({
    code: 2,
  });
  const gateway = await startGateway();
  const running = await runCli(['keys', 'rotate', gateway.data]);
  expect([running.code, running.stderr]).toEqual([1, expect.stringMatching(/in use|runs|lock/i)]);
  const kept = await runCli(['keys', 'list', gateway.data, '--json']);
  expect(JSON.parse(kept.stdout)).toEqual({ schema: 'tributary.keys/1', keys: [] });
  const network = await runCli(['keys', 'rotate', gateway.data, '--kms-key', 'k', '--kms-region', 'r']);
  expect([network.code, network.stderr]).toEqual([2, expect.stringMatching(/without a network/)]);
});

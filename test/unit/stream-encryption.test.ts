// Goal: streams are encrypted with keys of their own, read by those who may, and refused when their key cannot be used.
// Method: the operations over the store in memory, key files, and a small KMS.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { namedKeys } from '../../runtime/named-key-config.ts';
import { kinesisError } from '../../server/kinesis/errors.ts';
import { KMS_CREDENTIALS, LocalKms } from '../kms.ts';
import { silent } from '../kinesis-rig.ts';
import { KinesisClient } from './kinesis-client.ts';

const HOUR_MS = 3_600_000;
const StreamName = 's';
const ShardId = 'shardId-000000000000';
const KEY_ARN = 'arn:aws:kms:us-east-1:000000000000:key/mine';
const BUILT_IN = 'alias/aws/kinesis';
const env = {
  AWS_ACCESS_KEY_ID: KMS_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: KMS_CREDENTIALS.secretAccessKey,
};

let folder = '';
let rig: KinesisClient;
let kms: LocalKms;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-keys-'));
  writeFileSync(join(folder, 'mine.key'), Buffer.alloc(32, 1), { mode: 0o600 });
  writeFileSync(join(folder, 'other.key'), Buffer.alloc(32, 2), { mode: 0o600 });
  kms = await LocalKms.open('remote');
  rig = await KinesisClient.open({ keys: keys(), env });
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await kms.close();
});

const keys = (more: Record<string, unknown> = {}) =>
  namedKeys.parse({
    mine: { provider: 'file', keyFile: join(folder, 'mine.key'), aliases: ['orders', 'a/b'], ...more },
    other: { provider: 'file', keyFile: join(folder, 'other.key') },
    missing: { provider: 'file', keyFile: join(folder, 'missing.key') },
    remote: { provider: 'aws-kms', keyId: 'remote', region: 'us-east-1', endpoint: kms.endpoint },
  });
const input = (KeyId: string) => ({ StreamName, EncryptionType: 'KMS', KeyId });
const start = (KeyId: string) => rig.call('StartStreamEncryption', input(KeyId));
const stop = (KeyId: string) => rig.call('StopStreamEncryption', input(KeyId));
const record = (text: string) => ({ PartitionKey: 'k', Data: Buffer.from(text).toString('base64') });
const put = (text: string) => rig.call('PutRecord', { StreamName, ...record(text) });
const iterator = async () =>
  (await rig.call('GetShardIterator', { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }))[
    'ShardIterator'
  ];
/** Each record with how it was encrypted. */
const read = async () => {
  const { Records } = await rig.call('GetRecords', { ShardIterator: await iterator() });
  return (Records as { Data: string; EncryptionType?: string }[]).map(
    ({ Data, EncryptionType }) => `${Buffer.from(Data, 'base64').toString()} ${EncryptionType ?? '-'}`,
  );
};
const described = async () => {
  const { StreamDescriptionSummary: summary } = await rig.call('DescribeStreamSummary', { StreamName });
  const { EncryptionType, KeyId } = summary as { EncryptionType: string; KeyId?: string };
  return [EncryptionType, KeyId];
};
/** What lies in the store, whatever the clients see. */
const stored = async () => {
  const ref = { streamId: rig.context.catalog.get(StreamName).id, shardId: ShardId };
  const { blocks } = await rig.store.log.readBlocks(ref, 0n as never, { blocks: 100, bytes: 1e9 });
  return Buffer.concat(blocks.map(({ block }) => block)).toString('latin1');
};

describe('records', () => {
  it('are encrypted from the start of encryption to its end, and read together', async () => {
    expect(await described()).toEqual(['NONE', undefined]);
    expect(await put('before')).not.toHaveProperty('EncryptionType');
    await start(BUILT_IN);
    expect(await described()).toEqual(['KMS', BUILT_IN]);
    expect(await put('within')).toMatchObject({ EncryptionType: 'KMS' });
    const { EncryptionType } = await rig.call('PutRecords', { StreamName, Records: [record('many')] });
    expect(EncryptionType).toBe('KMS');
    expect(await rig.refusal('StopStreamEncryption', input('alias/none'))).toBe(
      'InvalidArgumentException: Stream s under account 000000000000 is not encrypted with alias/none.',
    );
    await stop(BUILT_IN);
    expect(await described()).toEqual(['NONE', undefined]);
    expect(await put('behind')).not.toHaveProperty('EncryptionType');
    expect(await read()).toEqual(['before -', 'within KMS', 'many KMS', 'behind -']);
    const bytes = await stored();
    expect([bytes.includes('before'), bytes.includes('within'), bytes.includes('many')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('of one key are read beside those of another, after a restart, too', async () => {
    await start('mine');
    await put('a');
    await start('other');
    await put('b');
    await rig.restart({ keys: keys(), env });
    await put('c');
    expect(await read()).toEqual(['a KMS', 'b KMS', 'c KMS']);
    expect(await described()).toEqual(['KMS', 'other']);
  });

  it('are encrypted in shards that a split makes, too', async () => {
    await start('mine');
    await rig.call('SplitShard', {
      StreamName,
      ShardToSplit: ShardId,
      NewStartingHashKey: '170141183460469231731687303715884105728',
    });
    const { ShardId: child, EncryptionType } = await put('child');
    expect([child, EncryptionType]).toEqual(['shardId-000000000002', 'KMS']);
  });

  it('of a stream made again have nothing of the former keys', async () => {
    await start('mine');
    await put('a');
    await rig.call('DeleteStream', { StreamName });
    for await (const { key } of rig.store.meta.list('stream-key/')) expect.unreachable(key);
    await rig.call('CreateStream', { StreamName, ShardCount: 1 });
    expect(await described()).toEqual(['NONE', undefined]);
  });
});

describe('a key', () => {
  it.each(['mine', KEY_ARN, 'alias/orders', 'alias/a/b', KEY_ARN.replace('key/mine', 'alias/orders')])(
    'has the name %s, and encryption is stopped by any of its names',
    async (name) => {
      await start(name);
      expect(await described()).toEqual(['KMS', name]);
      await put('a');
      expect(await rig.refusal('StopStreamEncryption', input('other'))).toMatch(/^InvalidArgumentException/);
      await stop('mine');
      expect(await read()).toEqual(['a KMS']);
    },
  );

  it.each([
    'none',
    'alias/none',
    'alias/aws/other',
    KEY_ARN.replace('mine', 'none'),
    KEY_ARN.replace('us-east-1', 'eu-west-1'),
    KEY_ARN.replace('000000000000', '000000000001'),
    '__proto__',
  ])('has not the name %s', async (name) => {
    expect(await rig.refusal('StartStreamEncryption', input(name))).toMatch(/^KMSNotFoundException/);
    expect(await described()).toEqual(['NONE', undefined]);
  });

  it('that is disabled or on its way out neither encrypts nor decrypts, and does again later', async () => {
    await start('mine');
    await put('a');
    for (const [state, type] of [
      ['disabled', 'KMSDisabledException'],
      ['pending-deletion', 'KMSInvalidStateException'],
    ] as const) {
      await rig.restart({ keys: keys({ state }), env });
      const ShardIterator = await iterator();
      for (const [operation, more] of [
        ['PutRecord', { StreamName, ...record('b') }],
        ['PutRecords', { StreamName, Records: [record('b')] }],
        ['GetRecords', { ShardIterator }],
        ['StartStreamEncryption', input('mine')],
      ] as const)
        expect(await rig.refusal(operation, more)).toMatch(new RegExp(`^${type}: ${KEY_ARN} `));
    }
    await rig.restart({ keys: keys(), env });
    expect(await read()).toEqual(['a KMS']);
  });

  it('that is gone is told, and encryption can be stopped without it', async () => {
    await start('mine');
    await put('a');
    await rig.restart();
    expect(await rig.refusal('PutRecord', { StreamName, ...record('b') })).toMatch(/^KMSNotFoundException/);
    expect(await rig.refusal('GetRecords', { ShardIterator: await iterator() })).toMatch(/^KMSNotFound/);
    await stop('mine');
    await put('plain');
  });

  it('whose file is missing or another one is told', async () => {
    const told: string[] = [];
    const warn = (event: string, fields?: object): void => void told.push(JSON.stringify([event, fields]));
    await rig.restart({ keys: keys(), env, log: { ...silent, warn } });
    for (let attempt = 0; attempt < 2; attempt += 1)
      expect(await rig.refusal('StartStreamEncryption', input('missing'))).toBe(
        `KMSInvalidStateException: ${KEY_ARN.replace('mine', 'missing')} cannot be used now: the server's log says why.`,
      );
    expect(told).toEqual([expect.stringContaining('missing.key')]);
    await start('mine');
    await put('a');
    writeFileSync(join(folder, 'mine.key'), Buffer.alloc(32, 9), { mode: 0o600 });
    await rig.restart({ keys: keys(), env });
    expect(await rig.refusal('GetRecords', { ShardIterator: await iterator() })).toMatch(
      /^KMSInvalidStateException/,
    );
  });

  it('in AWS KMS is asked again after five minutes, for what is written and what is read', async () => {
    await start('remote');
    await put('a');
    await put('b');
    expect(kms.calls).toEqual(['TrentService.GenerateDataKey']);
    expect(await read()).toHaveLength(2);
    rig.passMs(5 * 60_000);
    await put('c');
    expect(kms.calls).toEqual(['TrentService.GenerateDataKey', 'TrentService.Decrypt']);
    rig.passMs(5 * 60_000);
    kms.troubles.push('AccessDeniedException');
    expect(await rig.refusal('PutRecord', { StreamName, ...record('d') })).toMatch(/^KMSAccessDenied/);
    kms.troubles.push('AccessDeniedException');
    expect(await rig.refusal('GetRecords', { ShardIterator: await iterator() })).toMatch(/^KMSAccessDenied/);
    kms.troubles.push(...Array.from({ length: 4 }, () => 'ThrottlingException' as const));
    expect(await rig.refusal('PutRecord', { StreamName, ...record('d') })).toMatch(/^KMSThrottling/);
    expect(await read()).toHaveLength(3);
  });

  it('makes a new data key every day', async () => {
    await start('remote');
    await put('a');
    rig.passMs(12 * HOUR_MS);
    await put('b');
    rig.passMs(12 * HOUR_MS);
    await put('c');
    const made = kms.calls.filter((call) => call.endsWith('GenerateDataKey'));
    expect(made).toHaveLength(2);
  });
});

describe('who may', () => {
  const denying = (denied: string) => ({
    keys: keys(),
    env,
    authorizeKey: (_caller: unknown, action: string, arn: string) => {
      if (action === denied) throw kinesisError('KMSAccessDeniedException', `not ${action} on ${arn}`);
    },
  });

  it('write needs GenerateDataKey, to read needs Decrypt on the keys of the records', async () => {
    await start('mine');
    await put('a');
    await rig.restart(denying('kms:GenerateDataKey'));
    const denial = `KMSAccessDeniedException: not kms:GenerateDataKey on ${KEY_ARN}`;
    expect(await rig.refusal('PutRecord', { StreamName, ...record('b') })).toBe(denial);
    expect(await rig.refusal('PutRecords', { StreamName, Records: [record('b')] })).toBe(denial);
    expect(await rig.refusal('StartStreamEncryption', input('mine'))).toBe(denial);
    expect(await read()).toEqual(['a KMS']);
    await rig.restart(denying('kms:Decrypt'));
    await put('b');
    await stop('mine');
    expect(await rig.refusal('GetRecords', { ShardIterator: await iterator() })).toBe(
      `KMSAccessDeniedException: not kms:Decrypt on ${KEY_ARN}`,
    );
  });

  it('use the stream may use the built-in key', async () => {
    await rig.restart(denying('kms:GenerateDataKey'));
    await start(BUILT_IN);
    await put('a');
  });
});

it('starts and stops are counted over 24 hours, and NONE is nothing to start', async () => {
  for (let n = 0; n < 25; n += 1) {
    await start('mine');
    await stop('mine');
  }
  await rig.restart({ keys: keys(), env });
  expect(await rig.refusal('StartStreamEncryption', input('mine'))).toMatch(/^LimitExceededException/);
  rig.passMs(24 * HOUR_MS);
  await start('mine');
  for (const operation of ['StartStreamEncryption', 'StopStreamEncryption'])
    expect(await rig.refusal(operation, { ...input('mine'), EncryptionType: 'NONE' })).toMatch(
      /^InvalidArgumentException/,
    );
  expect(await rig.refusal('StartStreamEncryption', { ...input('mine'), StreamName: 'none' })).toMatch(
    /^ResourceNotFoundException/,
  );
});

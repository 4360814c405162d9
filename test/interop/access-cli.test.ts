// Goal: an operator gives and takes rights with the command line, secrets are printed once, and everything is audited.
// Method: the built command and the AWS CLI against a real server.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialEnvironment, run, runCli, startServer, stopAll, temporaryFolder } from '../processes.ts';
import type { Environment, Finished, RunningServer } from '../processes.ts';
import { needs } from '../tools.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(stopAll);

const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/mine';

const cli = (parameters: readonly string[], env: Environment = credentialEnvironment(), stdin = '') =>
  runCli([...parameters, '--server', server.httpUrl], { env, stdin });

function aws(parameters: readonly string[], env: Environment): Promise<Finished> {
  const settings = {
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_MAX_ATTEMPTS: '1',
  };
  return run('aws', [...parameters, '--endpoint-url', server.httpUrl], { env: { ...settings, ...env } });
}

const access = (...parameters: string[]): Promise<Finished> => cli(['access', ...parameters]);

function environmentOf(printed: string): Record<string, string> {
  return Object.fromEntries(
    printed
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

test('a user comes, gets a policy, works, and goes', async (context) => {
  needs(context, 'aws');
  expect((await access('user', 'create', 'ada')).stdout).toContain('created ada');
  const made = await access('key', 'create', 'ada');
  const env = environmentOf(made.stdout);
  expect(env['AWS_SECRET_ACCESS_KEY']).toMatch(/^[\w-]{40}$/);
  const asAda = (...parameters: string[]) => cli(parameters, env);

  const before = await asAda('stream', 'create', 'mine');
  expect([before.code, before.stderr]).toEqual([
    4,
    expect.stringContaining(`on resource: ${ARN} because no identity-based policy allows`) as unknown,
  ]);

  const listed = await aws(['kinesis', 'list-streams'], env);
  // Some versions say behind the operation how often they tried.
  expect(listed.stderr).toMatch(
    /\(AccessDeniedException\) when calling the ListStreams operation.*: User: arn:aws:iam::000000000000:user\/ada is not authorized/,
  );

  const policy = join(temporaryFolder(), 'policy.json');
  const allow = { Effect: 'Allow', Action: 'kinesis:*', Resource: `${ARN.slice(0, -4)}\${aws:username}-*` };
  const list = { Effect: 'Allow', Action: 'kinesis:ListStreams', Resource: '*' };
  writeFileSync(policy, JSON.stringify({ Version: '2012-10-17', Statement: [allow, list] }));
  expect((await access('policy', 'put', 'ada', 'own', policy)).code).toBe(0);
  expect((await access('policy', 'show', 'ada', 'own')).stdout.trim()).toBe(readFileSync(policy, 'utf8'));

  expect((await asAda('stream', 'create', 'mine')).code).toBe(4);
  expect((await asAda('stream', 'create', 'ada-mine')).code).toBe(0);
  const record = ['--stream-name', 'ada-mine', '--data', 'eA==', '--partition-key', 'k'];
  const put = await aws(['kinesis', 'put-record', ...record], env);
  expect([put.code, put.stderr]).toEqual([0, '']);

  const checks = [
    await access('check', 'ada', 'kinesis:PutRecord', `${ARN.slice(0, -4)}ada-x`),
    await access('check', 'ada', 'kinesis:PutRecord', ARN),
  ];
  expect(checks.map(({ code, stdout }) => [code, stdout.split(' ')[0]])).toEqual([
    [0, 'allowed'],
    [1, 'denied'],
  ]);

  const id = env['AWS_ACCESS_KEY_ID'] ?? '';
  const rotated = environmentOf((await access('key', 'rotate', 'ada', id)).stdout);
  expect((await asAda('stream', 'ls')).code).toBe(4);
  expect((await cli(['stream', 'ls'], rotated)).code).toBe(0);
  await access('key', 'disable', 'ada', rotated['AWS_ACCESS_KEY_ID'] ?? '');
  expect((await cli(['stream', 'ls'], rotated)).code).toBe(4);
  await access('key', 'enable', 'ada', rotated['AWS_ACCESS_KEY_ID'] ?? '');
  expect((await cli(['stream', 'ls'], rotated)).code).toBe(0);

  const users = JSON.parse((await access('user', 'ls', '--json')).stdout) as { users: object[] };
  expect(users.users).toMatchObject([{ name: 'ada', policyNames: ['own'], keys: [{ active: true }] }]);
  expect(JSON.stringify(users)).not.toContain(rotated['AWS_SECRET_ACCESS_KEY']);
  expect((await access('user', 'rm', 'ada', '--yes')).code).toBe(0);
  expect((await cli(['stream', 'ls'], rotated)).code).toBe(4);
});

test('what is wrong is said with its exit code', async () => {
  expect((await access('policy', 'show', 'nobody')).code).toBe(3);
  await access('user', 'create', 'bob');
  const bad = await cli(
    ['access', 'policy', 'put', 'bob', 'p', '-'],
    credentialEnvironment(),
    '{"Statement":1}',
  );
  expect([bad.code, bad.stderr]).toEqual([
    2,
    expect.stringContaining('Statement[0]: must be an object') as unknown,
  ]);
  expect((await access('policy', 'put', 'bob', 'p', '/nonexistent')).code).toBe(2);
  expect((await access('user', 'create', 'bob')).stderr).toContain('there is a user bob already');
  expect((await access('user', 'create', 'b/b')).code).toBe(2);
  expect((await access('key', 'rm', 'bob', 'AKIAAAAAAAAAAAAAAAAA')).code).toBe(3);
  expect((await access('audit', '--limit', '1001')).code).toBe(2);
  expect((await access('session', '--minutes', '14')).code).toBe(2);
});

test('a session is bounded by its policy', async () => {
  const policy = join(temporaryFolder(), 'policy.json');
  const list = { Effect: 'Allow', Action: 'kinesis:ListStreams', Resource: '*' };
  writeFileSync(policy, JSON.stringify({ Version: '2012-10-17', Statement: list }));
  const made = await access('session', '--minutes', '15', '--policy', policy);
  const env = environmentOf(made.stdout);
  expect((await cli(['stream', 'ls'], env)).code).toBe(0);
  const denied = await cli(['stream', 'create', 'other'], env);
  expect([denied.code, denied.stderr]).toEqual([
    4,
    expect.stringContaining('because no session policy allows the kinesis:CreateStream action') as unknown,
  ]);
});

test('a user needs a policy for our own API, too, and its key survives a restart', async () => {
  await access('user', 'create', 'eve');
  const env = environmentOf((await access('key', 'create', 'eve')).stdout);
  for (const parameters of [['fleet', 'ls'], ['enrol-code'], ['access', 'user', 'ls'], ['access', 'audit']])
    expect((await cli(parameters, env)).code, parameters.join(' ')).toBe(4);
  const policy = join(temporaryFolder(), 'policy.json');
  const statement = { Effect: 'Allow', Action: 'tributary:List*', Resource: '*' };
  writeFileSync(policy, JSON.stringify({ Version: '2012-10-17', Statement: statement }));
  await access('policy', 'put', 'eve', 'look', policy);
  await server.kill('SIGTERM');
  server = await server.restart();
  expect((await cli(['fleet', 'ls'], env)).code).toBe(0);
  expect((await cli(['enrol-code'], env)).code).toBe(4);
});

test('changes and refusals are audited, reads and secrets are not', async () => {
  await access('user', 'create', 'mallory');
  const env = environmentOf((await access('key', 'create', 'mallory')).stdout);
  await cli(['stream', 'create', 'audited'], credentialEnvironment());
  await cli(['stream', 'create', 'audited'], credentialEnvironment());
  await cli(['stream', 'ls'], credentialEnvironment());
  await cli(['stream', 'put', 'audited', '--data', 'very private'], credentialEnvironment());
  await cli(['stream', 'rm', 'audited', '--yes'], env);
  await cli(['stream', 'ls'], { ...env, TRIBUTARY_SECRET_ACCESS_KEY: 'wrong' });
  const printed = await access('audit', '--json', '--limit', '7');
  const { entries } = JSON.parse(printed.stdout) as { entries: Record<string, string>[] };
  expect(entries.slice(-6).map(({ action, outcome, error = '' }) => [action, outcome, error])).toEqual([
    ['tributary:CreateUser', 'ok', ''],
    ['tributary:CreateAccessKey', 'ok', ''],
    ['kinesis:CreateStream', 'ok', ''],
    ['kinesis:CreateStream', 'failed', 'ResourceInUseException'],
    ['kinesis:DeleteStream', 'denied', 'AccessDenied'],
    ['kinesis:*', 'denied', 'InvalidSignatureException'],
  ]);
  expect(entries.at(-2)).toMatchObject({
    user: 'arn:aws:iam::000000000000:user/mallory',
    resource: 'arn:aws:kinesis:us-east-1:000000000000:stream/audited',
    sourceAddress: '127.0.0.1',
  });
  expect(entries.at(-2)?.['requestId']).toMatch(/^[0-9a-f-]{36}$/);
  const metrics = await (await fetch(`${server.httpUrl}/metrics`)).text();
  for (const by of ['signature', 'policy'])
    expect(metrics).toMatch(new RegExp(`tributary_refused_requests_total\\{by="${by}"\\} [1-9]`));
  const path = join(server.data, 'audit.log');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const text = readFileSync(path, 'utf8') + server.stderr();
  for (const secret of ['very private', env['AWS_SECRET_ACCESS_KEY'] ?? '?', 'Signature='])
    expect(text).not.toContain(secret);
});

test('a key of the root that is not used any more can be taken away, by the root only', async () => {
  await server.kill('SIGTERM');
  const second = { TRIBUTARY_ACCESS_KEY_ID: 'SECOND', TRIBUTARY_SECRET_ACCESS_KEY: 'second-secret' };
  server = await startServer({ data: server.data, env: second });
  expect((await access('root-key', 'ls')).stdout).toBe('SECOND\nTESTKEY\n');
  expect((await access('root-key', 'rm', 'TESTKEY')).stderr).toContain('cannot be removed');
  const bySecond = (...parameters: string[]) => cli(['access', ...parameters], second);
  expect((await bySecond('root-key', 'rm', 'TESTKEY')).code).toBe(0);
  expect((await access('root-key', 'ls')).code).toBe(4);
  expect((await bySecond('root-key', 'rm', 'TESTKEY')).code).toBe(3);
  await bySecond('user', 'create', 'greedy');
  const env = environmentOf((await bySecond('key', 'create', 'greedy')).stdout);
  const everything = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}';
  await cli(['access', 'policy', 'put', 'greedy', 'all', '-'], second, everything);
  expect((await cli(['access', 'user', 'ls'], env)).code).toBe(0);
  expect((await cli(['access', 'root-key', 'rm', 'SECOND'], env)).code).toBe(4);
});

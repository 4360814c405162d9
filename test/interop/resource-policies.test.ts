// Goal: the policy of a stream or of a consumer lets in and keeps out as IAM says, beside the policies of users. Method: the
// same calls by users of every kind while the resource has each kind of policy, on a real server.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { fleet, kinesis } from '../signed-requests.ts';
import type { Answer, CallOptions } from '../signed-requests.ts';

const STREAM = 'arn:aws:kinesis:us-east-1:000000000000:stream/shared';
const userArn = (name: string) => `arn:aws:iam::000000000000:user/${name}`;

let server: RunningServer;
let consumer = '';
const keys = new Map<string, NonNullable<CallOptions['credentials']>>();

const root = (operation: string, input: object): Promise<Answer> => kinesis(server.httpUrl, operation, input);

const as = (name: string, operation: string, input: object): Promise<Answer> => {
  const credentials = keys.get(name);
  if (credentials === undefined) throw new Error(`there is no ${name}`);
  return kinesis(server.httpUrl, operation, input, { credentials });
};

async function user(name: string, statement?: object): Promise<void> {
  const path = '/api/v1/access/users';
  await fleet(server.httpUrl, 'POST', path, { name });
  const document = JSON.stringify({ Version: '2012-10-17', Statement: statement });
  if (statement !== undefined) await fleet(server.httpUrl, 'PUT', `${path}/${name}/policies/p`, { document });
  const { body } = await fleet(server.httpUrl, 'POST', `${path}/${name}/keys`);
  keys.set(name, body as unknown as NonNullable<CallOptions['credentials']>);
}

beforeAll(async () => {
  server = await startServer();
  await root('CreateStream', { StreamName: 'shared', ShardCount: 1 });
  const made = await root('RegisterStreamConsumer', { StreamARN: STREAM, ConsumerName: 'reader' });
  consumer = (made.body['Consumer'] as { ConsumerARN: string }).ConsumerARN;
  const everything = { Effect: 'Allow', Action: 'kinesis:*', Resource: '*' };
  await user('none');
  await user('allow', everything);
  await user('deny', { ...everything, Effect: 'Deny' });
});
afterAll(stopAll);

const putPolicy = (arn: string, ...statements: object[]): Promise<Answer> => {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  return root('PutResourcePolicy', { ResourceARN: arn, Policy });
};

const WHO = ['none', 'allow', 'deny'];

type Verdicts = readonly [none: boolean, allow: boolean, deny: boolean];

const CASES: readonly [string, object, Verdicts][] = [
  ['allows anyone', { Effect: 'Allow', Principal: '*' }, [true, true, false]],
  ['allows one user', { Effect: 'Allow', Principal: { AWS: userArn('none') } }, [true, true, false]],
  ['allows another user', { Effect: 'Allow', Principal: { AWS: userArn('else') } }, [false, true, false]],
  ['allows the account', { Effect: 'Allow', Principal: { AWS: '000000000000' } }, [false, true, false]],
  ['allows another account', { Effect: 'Allow', Principal: { AWS: '111111111111' } }, [false, true, false]],
  ['denies anyone', { Effect: 'Deny', Principal: '*' }, [false, false, false]],
  ['denies one user', { Effect: 'Deny', Principal: { AWS: userArn('allow') } }, [false, false, false]],
  ['denies all but one', { Effect: 'Deny', NotPrincipal: { AWS: userArn('allow') } }, [false, true, false]],
  [
    'allows from elsewhere',
    { Effect: 'Allow', Principal: '*', Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } },
    [false, true, false],
  ],
  [
    'allows something else',
    { Effect: 'Allow', Principal: '*', Action: 'kinesis:PutRecord' },
    [false, true, false],
  ],
];

async function verdicts(operation: string, input: object): Promise<boolean[]> {
  const answers = await Promise.all(WHO.map((who) => as(who, operation, input)));
  return answers.map(({ body }) => body['__type'] !== 'AccessDeniedException');
}

test.each(CASES)('a stream that %s', async (_name, statement, expected) => {
  const put = await putPolicy(STREAM, { Action: 'kinesis:Describe*', Resource: STREAM, ...statement });
  expect([put.status, put.text]).toEqual([200, '']);
  expect(await verdicts('DescribeStreamSummary', { StreamName: 'shared' })).toEqual(expected);
  // Nobody can lock the root out.
  expect((await root('DescribeStreamSummary', { StreamName: 'shared' })).status).toBe(200);
});

test.each(CASES)('a consumer that %s', async (_name, statement, expected) => {
  await root('DeleteResourcePolicy', { ResourceARN: STREAM });
  await putPolicy(consumer, { Action: 'kinesis:Describe*', Resource: consumer, ...statement });
  expect(await verdicts('DescribeStreamConsumer', { ConsumerARN: consumer })).toEqual(expected);
  // The policy of a consumer says nothing about its stream.
  expect(await verdicts('DescribeStreamSummary', { StreamName: 'shared' })).toEqual([false, true, false]);
});

test('a policy goes with its removal, and with its stream', async () => {
  const open = { Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' };
  await putPolicy(STREAM, open);
  expect((await as('none', 'ListShards', { StreamName: 'shared' })).status).toBe(200);
  // Who was let in by it may also take it away again.
  expect((await as('none', 'DeleteResourcePolicy', { ResourceARN: STREAM })).status).toBe(200);
  expect((await as('none', 'ListShards', { StreamName: 'shared' })).status).toBe(400);
  await putPolicy(STREAM, open);
  await root('DeleteStream', { StreamName: 'shared', EnforceConsumerDeletion: true });
  await root('CreateStream', { StreamName: 'shared', ShardCount: 1 });
  expect((await as('none', 'ListShards', { StreamName: 'shared' })).body['__type']).toBe(
    'AccessDeniedException',
  );
});

test('one that cannot be read is refused with the place', async () => {
  const { body } = await putPolicy(STREAM, { Effect: 'Allow', Principal: '*', Resource: '*' });
  expect(body['message']).toContain('Statement[0]: must have either Action or NotAction');
});

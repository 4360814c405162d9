// Goal: what people try first works: `aws sts get-caller-identity`, and temporary credentials from `get-session-token`.
// Method: the AWS CLI against a real server.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDENTIALS, run, startServer, stopAll } from '../processes.ts';
import type { Finished, RunningServer } from '../processes.ts';
import { fleet } from '../signed-requests.ts';
import { needs } from '../tools.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(stopAll);

const ROOT = {
  AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
};

function aws(parameters: readonly string[], env: Readonly<Record<string, string>> = ROOT): Promise<Finished> {
  return run('aws', [...parameters, '--endpoint-url', server.httpUrl, '--output', 'json'], {
    env: {
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
      AWS_MAX_ATTEMPTS: '1',
      ...env,
    },
  });
}

test('who am I: the root, and a user', async (context) => {
  needs(context, 'aws');
  const root = await aws(['sts', 'get-caller-identity']);
  expect(JSON.parse(root.stdout)).toEqual({
    UserId: '000000000000',
    Account: '000000000000',
    Arn: 'arn:aws:iam::000000000000:root',
  });
  await fleet(server.httpUrl, 'POST', '/api/v1/access/users', { name: 'ada' });
  const key = await fleet(server.httpUrl, 'POST', '/api/v1/access/users/ada/keys');
  const env = {
    AWS_ACCESS_KEY_ID: String(key.body['accessKeyId']),
    AWS_SECRET_ACCESS_KEY: String(key.body['secretAccessKey']),
  };
  const user = await aws(['sts', 'get-caller-identity'], env);
  expect(JSON.parse(user.stdout)).toMatchObject({ Arn: 'arn:aws:iam::000000000000:user/ada' });
});

test('temporary credentials work, cannot make others, and are refused when they are changed', async (context) => {
  needs(context, 'aws');
  const made = await aws(['sts', 'get-session-token', '--duration-seconds', '900']);
  const { Credentials: session } = JSON.parse(made.stdout) as { Credentials: Record<string, string> };
  const env = {
    AWS_ACCESS_KEY_ID: session['AccessKeyId'] ?? '',
    AWS_SECRET_ACCESS_KEY: session['SecretAccessKey'] ?? '',
    AWS_SESSION_TOKEN: session['SessionToken'] ?? '',
  };
  const streams = await aws(['kinesis', 'list-streams'], env);
  expect(JSON.parse(streams.stdout)).toMatchObject({ StreamNames: [] });
  const again = await aws(['sts', 'get-session-token'], env);
  expect(again.stderr).toContain('(AccessDenied)');
  const changed = await aws(['sts', 'get-caller-identity'], { ...env, AWS_SESSION_TOKEN: 'AAAA' });
  expect(changed.stderr).toContain('(InvalidClientTokenId)');
  const wrong = await aws(['sts', 'get-caller-identity'], { ...ROOT, AWS_SECRET_ACCESS_KEY: 'wrong' });
  expect(wrong.stderr).toContain('(SignatureDoesNotMatch)');
  const short = await aws(['sts', 'get-session-token', '--duration-seconds', '129601']);
  expect(short.stderr).toContain('(ValidationError)');
  const other = await aws(['sts', 'get-access-key-info', '--access-key-id', 'AKIAIOSFODNN7EXAMPLE']);
  expect(other.stderr).toContain('(InvalidAction)');
});

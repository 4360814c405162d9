// Runs a Python program that uses boto3 against a server. Its argument is the server's URL; it prints one JSON document.
import { expect } from 'vitest';
import type { TestContext } from 'vitest';
import { CREDENTIALS, run } from './processes.ts';
import type { Environment } from './processes.ts';

export interface Boto3Options {
  readonly env?: Environment;
  /** Behind the URL. */
  readonly parameters?: readonly string[];
}

/** What the program printed; the test is skipped when there is no boto3. Its warnings are failures. */
export async function runBoto3(
  context: TestContext,
  program: string,
  url: string,
  { env = {}, parameters = [] }: Boto3Options = {},
): Promise<unknown> {
  const python = await pythonWithBoto3();
  if (python === null) {
    context.skip('python3 has no boto3; install it: apt-get install python3-boto3');
    return undefined;
  }
  const { code, stdout, stderr } = await run(python, ['-W', 'ignore', '-c', program, url, ...parameters], {
    env: {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
      ...env,
    },
  });
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as unknown;
}

/**
 * Whether the client's model has an operation, and a member of its input: clients of distributions are years old, and take a
 * tour as far as they know the way. True without boto3: then the test says itself that it is skipped.
 */
export async function boto3Knows(operation: string, member?: string): Promise<boolean> {
  const python = await pythonWithBoto3();
  if (python === null) return true;
  const program = `
import boto3, sys
model = boto3.client('kinesis', region_name='us-east-1').meta.service_model
operation, member = sys.argv[1:]
known = operation in model.operation_names
print(known and (member == '' or member in model.operation_model(operation).input_shape.members))
`;
  const { stdout } = await run(python, ['-W', 'ignore', '-c', program, operation, member ?? '']);
  return stdout.trim() === 'True';
}

/** The system's own Python has what the system's packages bring, whatever comes first in the path. */
async function pythonWithBoto3(): Promise<string | null> {
  for (const python of ['python3', '/usr/bin/python3']) {
    const found = await run(python, ['-c', 'import boto3']).catch(() => ({ code: 1 }));
    if (found.code === 0) return python;
  }
  return null;
}

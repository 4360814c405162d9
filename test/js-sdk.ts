// Runs a program that uses the AWS SDK for JavaScript against a server, as a process of its own: trust in a certificate is
// given to a process when it starts.
import { join } from 'node:path';
import { expect } from 'vitest';
import { CREDENTIALS, ROOT, run } from './processes.ts';
import type { Environment, RunningServer } from './processes.ts';

export interface SdkProgram {
  /** Of its file in test/interop, without extension. */
  readonly name: string;
  readonly url: 'httpUrl' | 'httpsUrl';
  readonly handler: 'default' | 'http1';
  readonly env?: Environment;
}

/** The JSON document that it printed. Its warnings are failures. */
export async function runSdkProgram(
  server: RunningServer,
  { name, url, handler, env = {} }: SdkProgram,
): Promise<unknown> {
  const program = join(ROOT, 'dist/test/interop', `${name}.js`);
  const { code, stdout, stderr } = await run(
    process.execPath,
    [program, String(server.ready[url]), handler],
    {
      env: {
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
        NODE_EXTRA_CA_CERTS: join(server.data, 'tls-certificate.pem'),
        NODE_NO_WARNINGS: '1',
        ...env,
      },
    },
  );
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

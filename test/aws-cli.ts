// The AWS CLI against a server: one process for each call.
import { expect } from 'vitest';
import type { TestContext } from 'vitest';
import { CREDENTIALS, run } from './processes.ts';
import type { Environment, Finished } from './processes.ts';
import { needs } from './tools.ts';

export type Document = Readonly<Record<string, unknown>>;

/** How the CLI begins to complain of an operation that its version does not know. */
const UNKNOWN = /argument operation|Invalid choice|Found invalid choice/;

export class AwsCli {
  readonly #httpUrl: string;
  readonly #takesBase64: boolean;

  private constructor(httpUrl: string, takesBase64: boolean) {
    this.#httpUrl = httpUrl;
    this.#takesBase64 = takesBase64;
  }

  static async open(httpUrl: string): Promise<AwsCli> {
    const version = await run('aws', ['--version']).catch(() => null);
    // Version 2 takes blobs as base64, version 1 as they are.
    return new AwsCli(httpUrl, version?.stdout.startsWith('aws-cli/1.') === false);
  }

  async run(parameters: readonly string[], env: Environment = {}): Promise<Finished> {
    // Debian's version does not know AWS_ENDPOINT_URL yet.
    const finished = await run(
      'aws',
      ['--endpoint-url', this.#httpUrl, 'kinesis', ...parameters, '--output', 'json'],
      {
        env: {
          AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
          AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
          AWS_DEFAULT_REGION: 'us-east-1',
          AWS_CONFIG_FILE: '/nonexistent',
          AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
          AWS_MAX_ATTEMPTS: '1',
          ...env,
        },
      },
    );
    // Some versions say how often they tried.
    return { ...finished, stderr: finished.stderr.replace(' (reached max retries: 0)', '') };
  }

  async ok(context: TestContext, ...parameters: string[]): Promise<Document> {
    needs(context, 'aws');
    const { code, stdout, stderr } = await this.run(parameters);
    expect([stderr, code]).toEqual(['', 0]);
    return (stdout.trim() === '' ? {} : JSON.parse(stdout)) as Document;
  }

  /** What it complains of. */
  async refused(context: TestContext, ...parameters: string[]): Promise<string> {
    needs(context, 'aws');
    const { code, stderr } = await this.run(parameters);
    expect(code).not.toBe(0);
    return stderr;
  }

  /** Whether this version has the operation. */
  async knows(operation: string): Promise<boolean> {
    return !UNKNOWN.test((await this.run([operation])).stderr);
  }

  data(text: string): string {
    return this.#takesBase64 ? Buffer.from(text).toString('base64') : text;
  }
}

/** Data and keys of a GetRecords answer, in order. */
export function recordsOf(answer: Document): { key: string; text: string; number: string }[] {
  const records = answer['Records'] as { PartitionKey: string; Data: string; SequenceNumber: string }[];
  return records.map((one) => ({
    key: one.PartitionKey,
    text: Buffer.from(one.Data, 'base64').toString(),
    number: one.SequenceNumber,
  }));
}

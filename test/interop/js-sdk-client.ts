// The client of a program that tests the AWS SDK for JavaScript. Its arguments are the server's URL, and `default` or
// `http1` for the SDK's handler.
import { KinesisClient } from '@aws-sdk/client-kinesis';
import { NodeHttpHandler } from '@smithy/node-http-handler';

export const [, , endpoint = '', handler = 'default'] = process.argv;

export function openClient(credentials?: { accessKeyId: string; secretAccessKey: string }): KinesisClient {
  return new KinesisClient({
    endpoint,
    region: 'us-east-1',
    maxAttempts: 1,
    ...(credentials === undefined ? {} : { credentials }),
    ...(handler === 'http1' ? { requestHandler: new NodeHttpHandler() } : {}),
  });
}

export const client = openClient();
/** For the SDK's waiters, in seconds. */
export const waiter = { client, maxWaitTime: 20, minDelay: 1, maxDelay: 1 };

export const textOf = (data: Uint8Array | undefined): string => Buffer.from(data ?? []).toString();

/** Prints what the program saw and ends it, whatever connections the SDK keeps. */
export function report(seen: object): never {
  process.stdout.write(`${JSON.stringify(seen)}\n`);
  process.exit(0);
}

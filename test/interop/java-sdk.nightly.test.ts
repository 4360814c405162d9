// Goal: the AWS SDK for Java 2, whose asynchronous client speaks CBOR over HTTP/2, works against a server unmodified, in
// plaintext and over TLS. Method: a Java program that takes the tour; Maven fetches the SDK.
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { CREDENTIALS, ROOT, run, startServer, stopAll } from '../processes.ts';
import { needs } from '../tools.ts';

afterEach(stopAll);

const POM = join(ROOT, 'test/interop/java/pom.xml');
const numbers = (to: number): string => [...Array(to).keys()].join(' ');

describe.each(['httpUrl', 'httpsUrl'])('at the %s', (url) => {
  test('streams, records and a subscription', async (context) => {
    needs(context, 'java', 'mvn');
    const server = await startServer({
      env: { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' },
    });
    const maven = ['-q', '-B', '-f', POM, '-Dstyle.color=never', 'compile', 'exec:java'];
    const { code, stdout } = await run('mvn', [...maven, `-Dexec.args=${String(server.ready[url])}`], {
      env: {
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      },
    });
    expect([code, stdout]).toEqual([0, expect.stringContaining('{')]);
    expect(JSON.parse(stdout.slice(stdout.indexOf('{'), stdout.lastIndexOf('}') + 1))).toEqual({
      read: `${numbers(10)}|${numbers(10)}`,
      pushed: numbers(17),
      isRecent: true,
      refused: 'ResourceNotFoundException',
    });
  });
});

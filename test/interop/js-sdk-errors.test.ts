// Goal: what a server refuses is what the AWS SDK for JavaScript has a class for, so that programs can tell errors apart.
// Method: each error provoked once, on a server with the limits of AWS.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { guestKeys } from '../guest.ts';
import { runSdkProgram } from '../js-sdk.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

let server: RunningServer;
let guest: Readonly<Record<string, string>> = {};
beforeAll(async () => {
  server = await startServer({
    env: {
      TRIBUTARY_SERVER_LIMITS: 'aws',
      TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true',
      TRIBUTARY_SERVER_TLS_PORT: '0',
    },
  });
  guest = await guestKeys(server.httpUrl);
});
afterAll(stopAll);

test.each([
  ['default', 'httpUrl'],
  ['http1', 'httpsUrl'],
] as const)('errors have their classes through the %s handler at the %s', async (handler, url) => {
  expect(await runSdkProgram(server, { name: 'js-sdk-errors', url, handler, env: guest })).toEqual({
    missing: 'ResourceNotFoundException 400',
    twice: 'ResourceInUseException 400',
    argument: 'InvalidArgumentException 400',
    constraint: 'ValidationException 400',
    limit: 'LimitExceededException 400',
    dryRun: 'DryRunOperationException 400',
    denied: 'AccessDeniedException 400',
    throughput: 'ProvisionedThroughputExceededException 400',
    calls: 'LimitExceededException 400',
    areMost: true,
    codes: ['ProvisionedThroughputExceededException'],
  });
});

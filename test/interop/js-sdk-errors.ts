// Provokes each error that a client handles, through the AWS SDK for JavaScript. Prints the class that the SDK makes of each.
// The environment has the keys of a user who may do nothing in GUEST_KEY_ID and GUEST_SECRET.
import * as kinesis from '@aws-sdk/client-kinesis';
import { client, handler, openClient, report, waiter } from './js-sdk-client.ts';

const StreamName = `errors-${handler}`;
const guest = openClient({
  accessKeyId: process.env['GUEST_KEY_ID'] ?? '',
  secretAccessKey: process.env['GUEST_SECRET'] ?? '',
});
/** More than a second's worth of any call here. */
const AT_ONCE = 8;

/** Class and status of the error. */
async function errorOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return 'none';
  } catch (error) {
    if (!(error instanceof kinesis.KinesisServiceException)) throw error;
    return `${error.constructor.name} ${error.$metadata.httpStatusCode}`;
  }
}

/** Calls at once, so that no slow machine stays below a rate; the first error of them. */
async function anyError(call: () => Promise<unknown>): Promise<string> {
  const errors = await Promise.all(Array.from({ length: AT_ONCE }, () => errorOf(call)));
  return errors.find((error) => error !== 'none') ?? 'none';
}

const mebibyte = { PartitionKey: 'k', Data: Buffer.alloc(1024 * 1024 - 1) };

await client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 1 }));
await kinesis.waitUntilStreamExists(waiter, { StreamName });
const errors = {
  missing: await errorOf(() => client.send(new kinesis.DescribeStreamCommand({ StreamName: 'none' }))),
  twice: await errorOf(() => client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 1 }))),
  argument: await errorOf(() => client.send(new kinesis.GetRecordsCommand({ ShardIterator: 'AAAA' }))),
  constraint: await errorOf(() =>
    client.send(new kinesis.CreateStreamCommand({ StreamName: 'a b', ShardCount: 1 })),
  ),
  limit: await errorOf(() =>
    client.send(
      new kinesis.UpdateShardCountCommand({
        StreamName,
        TargetShardCount: 3,
        ScalingType: 'UNIFORM_SCALING',
      }),
    ),
  ),
  dryRun: await errorOf(() =>
    client.send(
      new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from('x'), DryRun: true }),
    ),
  ),
  denied: await errorOf(() => guest.send(new kinesis.ListStreamsCommand({}))),
  throughput: await anyError(() => client.send(new kinesis.PutRecordCommand({ StreamName, ...mebibyte }))),
  calls: await anyError(() => client.send(new kinesis.ListStreamsCommand({}))),
};
const Records = Array.from({ length: AT_ONCE }, () => mebibyte);
const put = await client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
const codes = (put.Records ?? []).flatMap(({ ErrorCode }) => ErrorCode ?? []);
// A second brings the room for one record.
const areMost = codes.length >= AT_ONCE - 1 && codes.length === put.FailedRecordCount;
report({ ...errors, areMost, codes: [...new Set(codes)] });

// A message of an event stream that boto3 and the AWS SDK for JavaScript read, byte for byte.
import { expect, test } from 'vitest';
import { eventMessage } from '../../server/wire/event-stream.ts';
import { eventMessages } from '../event-messages.ts';

const INITIAL =
  '0000007200000060ab820d9e0d3a6d6573736167652d747970650700056576656e740b3a6576656e742d74797065070010696e697469616c2d726573706f6e73650d3a636f6e74656e742d747970650700' +
  '1a6170706c69636174696f6e2f782d616d7a2d6a736f6e2d312e317b7de16e66e4';
const HEADERS = {
  ':message-type': 'event',
  ':event-type': 'initial-response',
  ':content-type': 'application/x-amz-json-1.1',
};

test('the first message of a subscription', () => {
  expect(Buffer.from(eventMessage(HEADERS, Buffer.from('{}'))).toString('hex')).toBe(INITIAL);
});

test('messages in pieces of any size are read as they were written', async () => {
  const bytes = Buffer.concat(
    ['{}', '', 'ü'.repeat(300)].map((text) => eventMessage({ name: text.slice(0, 1) }, Buffer.from(text))),
  );
  for (const size of [1, 3, 12, 1_000]) {
    const pieces = (async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })();
    const seen: string[] = [];
    for await (const { headers, payload } of eventMessages(pieces))
      seen.push(`${headers['name']}:${payload.toString().slice(0, 2)}:${payload.length}`);
    expect(seen).toEqual(['{:{}:2', '::0', 'ü:üü:600']);
  }
});

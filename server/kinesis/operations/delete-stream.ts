// DeleteStream: answers when the stream and its records are gone (Kinesis API, DeleteStream).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext, StreamInput } from '../context.ts';

export async function deleteStream(
  input: StreamInput,
  { account, catalog }: KinesisContext,
): Promise<undefined> {
  await catalog.delete(streamNameOf(account, input));
  return undefined;
}

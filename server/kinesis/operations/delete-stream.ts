// DeleteStream: answers when the stream and its records are gone, or at once when states are to last (Kinesis API,
// DeleteStream).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { kinesisError } from '../errors.ts';

export interface DeleteStreamInput extends StreamInput {
  readonly EnforceConsumerDeletion?: boolean;
}

export async function deleteStream(
  input: DeleteStreamInput,
  { account, catalog, consumers }: KinesisContext,
): Promise<undefined> {
  await catalog.delete(streamNameOf(account, input), (stream) => {
    const count = consumers.listOf(stream.id).length;
    if (count === 0 || input.EnforceConsumerDeletion === true) return;
    const text = `Stream ${stream.name} under account ${account.accountId} has ${count} registered consumers: deregister them, or set EnforceConsumerDeletion.`;
    throw kinesisError('ResourceInUseException', text);
  });
  return undefined;
}

// The resource a request is about, as policies name it (Service Authorization Reference, Amazon Kinesis Data Streams).
import type { Clock } from '../../stream/ports.ts';
import type { ValidatedInput } from '../wire/shape.ts';
import { consumerArn, streamArn, streamNameOf } from './arn.ts';
import type { Account } from './account.ts';
import type { Consumers } from './consumers.ts';
import type { TokenSigner } from './page-token.ts';
import type { StreamCatalog } from './stream-catalog.ts';
import { openShardPage } from './shard-page.ts';

/** The ARN of a stream or a consumer; `*` where the request names none. Throws what a reader of the input would throw. */
export function resourceOf(operation: string, input: ValidatedInput, context: ResourceContext): string {
  const { account } = context;
  const named = textOf(input, 'ConsumerARN') ?? textOf(input, 'ResourceARN');
  if (named !== undefined) return named.includes('/consumer/') ? named : canonical(named, account);
  const arn = textOf(input, 'StreamARN');
  const consumerName = textOf(input, 'ConsumerName');
  // Before it is registered there is no consumer: the stream is what is asked for.
  if (consumerName !== undefined && arn !== undefined && operation !== 'RegisterStreamConsumer')
    return arnOfConsumer(streamNameOf(account, { StreamARN: arn }), consumerName, context);
  if (arn !== undefined || 'StreamName' in input) return streamArn(account, streamNameOf(account, input));
  const iterator = textOf(input, 'ShardIterator');
  if (iterator !== undefined) return arnOfIterator(iterator, context);
  const page = operation === 'ListShards' ? textOf(input, 'NextToken') : undefined;
  return page === undefined ? ANY : arnOfId(openShardPage(page, context).streamId, context);
}

/** One spelling for each stream, or a policy for one of them would not see the others. */
function canonical(arn: string, account: Account): string {
  return streamArn(account, streamNameOf(account, { StreamARN: arn }));
}

const ANY = '*';

interface ResourceContext {
  readonly account: Account;
  readonly catalog: StreamCatalog;
  readonly consumers: Consumers;
  readonly tokens: TokenSigner;
  readonly clock: Clock;
}

/** One that is not there has an ARN that policies for its name match, too: whoever may see it learns that it is gone. */
function arnOfConsumer(
  stream: string,
  name: string,
  { account, catalog, consumers }: ResourceContext,
): string {
  const consumer = consumers.find(catalog.find(stream)?.id ?? '', name);
  return consumer?.arn ?? consumerArn(streamArn(account, stream), name, 0);
}

function arnOfIterator(token: string, context: ResourceContext): string {
  const { tokens, clock } = context;
  return arnOfId(tokens.openIterator(token, clock.wallMs()).streamId, context);
}

/** A stream that is gone has no name any more: the operation says so itself. */
function arnOfId(streamId: string, { account, catalog }: ResourceContext): string {
  const row = catalog.byId(streamId);
  return row === undefined ? ANY : streamArn(account, row.name);
}

function textOf(input: ValidatedInput, member: string): string | undefined {
  const value = input[member];
  return typeof value === 'string' ? value : undefined;
}

// The resource a request is about, as policies name it (Service Authorization Reference, Amazon Kinesis Data Streams).
import type { ValidatedInput } from '../wire/shape-validator.ts';
import { streamArn, streamNameOf } from './arn.ts';
import type { KinesisContext } from './context.ts';

/** The ARN of a stream or a consumer; `*` where the request names none. Throws what a reader of the input would throw. */
export function resourceOf(input: ValidatedInput, context: ResourceContext): string {
  const { account } = context;
  const consumer = textOf(input, 'ConsumerARN') ?? textOf(input, 'ResourceARN');
  if (consumer !== undefined) return consumer;
  const arn = textOf(input, 'StreamARN');
  const consumerName = textOf(input, 'ConsumerName');
  if (consumerName !== undefined && arn !== undefined) return `${arn}/consumer/${consumerName}`;
  if (arn !== undefined || 'StreamName' in input) return streamArn(account, streamNameOf(account, input));
  const iterator = textOf(input, 'ShardIterator');
  return iterator === undefined ? ANY : arnOfIterator(iterator, context);
}

const ANY = '*';

type ResourceContext = Pick<KinesisContext, 'account' | 'catalog' | 'tokens' | 'clock'>;

/** A stream that is gone has no name any more: the operation says so itself. */
function arnOfIterator(token: string, { account, catalog, tokens, clock }: ResourceContext): string {
  const row = catalog.byId(tokens.openIterator(token, clock.wallMs()).streamId);
  return row === undefined ? ANY : streamArn(account, row.name);
}

function textOf(input: ValidatedInput, member: string): string | undefined {
  const value = input[member];
  return typeof value === 'string' ? value : undefined;
}

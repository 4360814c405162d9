// ListStreamConsumers: by name, a page at a time (Kinesis API, ListStreamConsumers).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { describeConsumer } from '../description.ts';
import { kinesisError } from '../errors.ts';
import { listableStream } from '../listable-stream.ts';

const PAGE_CONSUMERS_MAX = 100;
const TOKEN_KIND = 'consumers';

export interface ListStreamConsumersInput {
  readonly StreamARN: string;
  readonly NextToken?: string;
  readonly MaxResults?: number;
  /** Milliseconds. */
  readonly StreamCreationTimestamp?: number;
}

/** What a NextToken carries. */
interface Cursor {
  readonly streamId: string;
  /** Name of the last consumer that was listed. */
  readonly after: string;
}

export function listStreamConsumers(
  input: ListStreamConsumersInput,
  context: KinesisContext,
): Promise<object> {
  const { account, clock, consumers, tokens } = context;
  const stream = listableStream(streamNameOf(account, input), input.StreamCreationTimestamp, context);
  const after = startName(input, stream.id, context);
  const rest = consumers.listOf(stream.id).filter(({ name }) => name > after);
  const page = rest.slice(0, Math.min(input.MaxResults ?? PAGE_CONSUMERS_MAX, PAGE_CONSUMERS_MAX));
  const cursor: Cursor = { streamId: stream.id, after: page.at(-1)?.name ?? after };
  return Promise.resolve({
    Consumers: page.map(describeConsumer),
    ...(page.length < rest.length ? { NextToken: tokens.sealPage(TOKEN_KIND, cursor, clock.wallMs()) } : {}),
  });
}

/** StreamARN is required beside a token, so the token of another stream is a mistake. */
function startName(
  { NextToken: token }: ListStreamConsumersInput,
  streamId: string,
  { clock, tokens }: KinesisContext,
): string {
  if (token === undefined) return '';
  const cursor = tokens.openPage(TOKEN_KIND, token, clock.wallMs()) as Cursor;
  if (cursor.streamId === streamId) return cursor.after;
  throw kinesisError('InvalidArgumentException', 'This NextToken belongs to another stream.');
}

// ListStreams: names in order, a page at a time (Kinesis API, ListStreams).
import { streamArn } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';

const PAGE_STREAMS_MAX = 100;
const TOKEN_KIND = 'streams';

export interface ListStreamsInput {
  readonly Limit?: number;
  readonly ExclusiveStartStreamName?: string;
  readonly NextToken?: string;
}

export async function listStreams(input: ListStreamsInput, context: KinesisContext): Promise<object> {
  const { account, catalog, clock, tokens } = context;
  const after = startName(input, context);
  const rest = catalog.list().filter((row) => row.name > after);
  const page = rest.slice(0, Math.min(input.Limit ?? PAGE_STREAMS_MAX, PAGE_STREAMS_MAX));
  const last = page.at(-1);
  const hasMore = page.length < rest.length;
  return Promise.resolve({
    StreamNames: page.map((row) => row.name),
    HasMoreStreams: hasMore,
    ...(hasMore && last !== undefined
      ? { NextToken: tokens.sealPage(TOKEN_KIND, last.name, clock.wallMs()) }
      : {}),
    StreamSummaries: page.map((row) => ({
      StreamName: row.name,
      StreamARN: streamArn(account, row.name),
      StreamStatus: row.status,
      StreamModeDetails: { StreamMode: row.mode },
      StreamCreationTimestamp: row.createdAtMs / 1000,
    })),
  });
}

function startName(input: ListStreamsInput, { clock, tokens }: KinesisContext): string {
  if (input.NextToken === undefined) return input.ExclusiveStartStreamName ?? '';
  if (input.ExclusiveStartStreamName === undefined) {
    return String(tokens.openPage(TOKEN_KIND, input.NextToken, clock.wallMs()));
  }
  throw kinesisError(
    'InvalidArgumentException',
    'NextToken and ExclusiveStartStreamName cannot be provided together.',
  );
}

// Streams of a server, by the same API that AWS clients use.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { usageError } from './cli-error.ts';
import { printDocument, printLine, printTable } from './output.ts';
import { answerOf, openServerApi } from './server-api.ts';
import type { ServerApi, ServerFlag } from './server-api.ts';

/** What the API takes at most (Kinesis API, Data). */
const RECORD_BYTES_MAX = 10 * 1024 * 1024;

export interface StreamFlags extends ServerFlag {
  readonly json?: boolean;
}

export interface PutFlags extends StreamFlags {
  readonly data?: string;
  readonly partitionKey?: string;
}

const listed = z.object({
  HasMoreStreams: z.boolean(),
  NextToken: z.string().optional(),
  StreamSummaries: z.array(
    z.object({
      StreamName: z.string(),
      StreamARN: z.string(),
      StreamStatus: z.string(),
      StreamModeDetails: z.object({ StreamMode: z.string() }),
      StreamCreationTimestamp: z.number(),
    }),
  ),
});
const placed = z.object({ ShardId: z.string(), SequenceNumber: z.string() });

export async function createStream(name: string, flags: StreamFlags & { shards: number }): Promise<void> {
  await openServerApi(flags).kinesis('CreateStream', { StreamName: name, ShardCount: flags.shards });
  if (flags.json === true) printDocument('tributary.stream-create/1', { name, shards: flags.shards });
  else printLine(`created ${name}`);
}

export async function deleteStream(name: string, flags: StreamFlags): Promise<void> {
  await openServerApi(flags).kinesis('DeleteStream', { StreamName: name });
  if (flags.json === true) printDocument('tributary.stream-rm/1', { name });
  else printLine(`deleted ${name}`);
}

export async function listStreams(flags: StreamFlags): Promise<void> {
  printStreams(await allStreams(openServerApi(flags)), flags);
}

async function allStreams(api: ServerApi): Promise<z.output<typeof listed>['StreamSummaries']> {
  const all = [];
  for (let token: string | undefined; ;) {
    const input = token === undefined ? {} : { NextToken: token };
    const page = answerOf(listed, await api.kinesis('ListStreams', input), api);
    all.push(...page.StreamSummaries);
    if (!page.HasMoreStreams) return all;
    token = page.NextToken;
  }
}

function printStreams(streams: z.output<typeof listed>['StreamSummaries'], flags: StreamFlags): void {
  const rows = streams.map((one) => ({
    name: one.StreamName,
    arn: one.StreamARN,
    status: one.StreamStatus,
    mode: one.StreamModeDetails.StreamMode,
    createdAt: new Date(one.StreamCreationTimestamp * 1000).toISOString(),
  }));
  if (flags.json === true) return printDocument('tributary.stream-ls/1', { streams: rows });
  printTable(
    ['NAME', 'STATUS', 'MODE', 'CREATED'],
    rows.map((row) => [row.name, row.status, row.mode, row.createdAt]),
  );
}

export async function putRecord(name: string, flags: PutFlags): Promise<void> {
  const api = openServerApi(flags);
  const data = flags.data === undefined ? await readStdin() : Buffer.from(flags.data);
  const input = {
    StreamName: name,
    Data: data.toString('base64'),
    PartitionKey: flags.partitionKey ?? randomUUID(),
  };
  const { ShardId, SequenceNumber } = answerOf(placed, await api.kinesis('PutRecord', input), api);
  if (flags.json === true)
    printDocument('tributary.stream-put/1', { shardId: ShardId, sequenceNumber: SequenceNumber });
  else printLine(`${ShardId} ${SequenceNumber}`);
}

async function readStdin(): Promise<Buffer> {
  if (process.stdin.isTTY) throw usageError('nothing to write: give --data TEXT, or the record on stdin');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    bytes += (chunk as Buffer).length;
    if (bytes > RECORD_BYTES_MAX) throw usageError(`a record is at most ${RECORD_BYTES_MAX} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

// Reads every shard of a stream to its end, and on when asked to. What was printed is never printed again: after an
// outage each shard goes on behind its last record.
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { decodeAggregate } from '../stream/kpl-aggregate.ts';
import type { UserRecord } from '../stream/kpl-aggregate.ts';
import { CliError, EXIT, usageError } from './cli-error.ts';
import { printDocument, printLine, printNotice, printable } from './output.ts';
import { answerOf, openServerApi } from './server-api.ts';
import type { ServerApi } from './server-api.ts';
import type { StreamFlags } from './stream.ts';

export interface TailFlags extends StreamFlags {
  readonly from?: string;
  readonly follow?: boolean;
  readonly limit?: number;
}

interface TailOptions {
  readonly stream: string;
  readonly from: 'trim-horizon' | 'latest';
  readonly isFollowing: boolean;
  readonly recordsMax: number;
  readonly isJson: boolean;
}

/** GetRecords takes five calls a second of a shard; others read too. */
const POLL_MS = 500;
const THROTTLED_MS = 250;
const RETRY_MS = 2_000;
const PAGE_RECORDS = 1_000;

const shards = z.object({
  Shards: z.array(z.object({ ShardId: z.string(), ParentShardId: z.string().optional() })),
  NextToken: z.string().optional(),
});
const iterator = z.object({ ShardIterator: z.string() });
const page = z.object({
  Records: z.array(
    z.object({
      SequenceNumber: z.string(),
      ApproximateArrivalTimestamp: z.number(),
      PartitionKey: z.string(),
      Data: z.string(),
    }),
  ),
  NextShardIterator: z.string().optional(),
  MillisBehindLatest: z.number(),
  ChildShards: z.array(z.object({ ShardId: z.string(), ParentShards: z.array(z.string()) })).optional(),
});
type Page = z.output<typeof page>;

interface Cursor {
  readonly shardId: string;
  readonly start: 'TRIM_HORIZON' | 'LATEST';
  iterator: string | null;
  lastSequenceNumber: string | null;
  isAtTip: boolean;
}

export async function tailStream(stream: string, flags: TailFlags): Promise<void> {
  const isFollowing = flags.follow === true;
  const tail = new Tail(openServerApi(flags), {
    stream,
    from: startOf(flags.from ?? (isFollowing ? 'latest' : 'trim-horizon')),
    isFollowing,
    recordsMax: flags.limit ?? Infinity,
    isJson: flags.json === true,
  });
  process.once('SIGINT', () => process.exit(EXIT.interrupted));
  await tail.open();
  await tail.run();
}

function startOf(text: string): TailOptions['from'] {
  if (text === 'latest' || text === 'trim-horizon') return text;
  throw usageError(`--from must be trim-horizon or latest, not ${text.slice(0, 40)}`);
}

class Tail {
  readonly #api: ServerApi;
  readonly #options: TailOptions;
  readonly #cursors = new Map<string, Cursor>();
  #printed = 0;

  constructor(api: ServerApi, options: TailOptions) {
    this.#api = api;
    this.#options = options;
  }

  /** Takes every iterator before anything is read: LATEST means now. */
  async open(): Promise<void> {
    const isLatest = this.#options.from === 'latest';
    const filter = { Type: isLatest ? 'AT_LATEST' : 'AT_TRIM_HORIZON' };
    for (let token: string | undefined; ;) {
      const request =
        token === undefined
          ? { StreamName: this.#options.stream, ShardFilter: filter }
          : { NextToken: token };
      const listed = answerOf(shards, await this.#api.kinesis('ListShards', request), this.#api);
      for (const { ShardId } of listed.Shards) this.#add(ShardId, isLatest ? 'LATEST' : 'TRIM_HORIZON');
      if (listed.NextToken === undefined) break;
      token = listed.NextToken;
    }
    for (const cursor of this.#cursors.values()) cursor.iterator = await this.#iteratorOf(cursor);
  }

  async run(): Promise<void> {
    for (;;) {
      // Children of a shard that ends join while the loop runs.
      for (const cursor of this.#cursors.values()) {
        await this.#readOn(cursor);
        if (this.#printed >= this.#options.recordsMax) return;
      }
      const isAtTip = [...this.#cursors.values()].every((cursor) => cursor.isAtTip);
      if (isAtTip && !this.#options.isFollowing) return;
      if (isAtTip) await pause(POLL_MS);
    }
  }

  #add(shardId: string, start: Cursor['start']): void {
    if (this.#cursors.has(shardId)) return;
    this.#cursors.set(shardId, {
      shardId,
      start,
      iterator: null,
      lastSequenceNumber: null,
      isAtTip: false,
    });
  }

  async #readOn(cursor: Cursor): Promise<void> {
    try {
      cursor.iterator ??= await this.#iteratorOf(cursor);
      const limit = Math.min(PAGE_RECORDS, this.#options.recordsMax - this.#printed);
      const request = { ShardIterator: cursor.iterator, Limit: limit };
      this.#take(cursor, answerOf(page, await this.#api.kinesis('GetRecords', request), this.#api));
    } catch (error) {
      await this.#bear(cursor, error);
    }
  }

  #take(cursor: Cursor, read: Page): void {
    for (const one of read.Records) {
      this.#printed += this.#print(cursor.shardId, one);
      cursor.lastSequenceNumber = one.SequenceNumber;
    }
    cursor.isAtTip = read.MillisBehindLatest === 0;
    cursor.iterator = read.NextShardIterator ?? null;
    if (read.NextShardIterator !== undefined) return;
    this.#cursors.delete(cursor.shardId);
    // A child of two parents follows both: what the other one still holds comes first.
    for (const { ShardId, ParentShards } of read.ChildShards ?? []) {
      if (!ParentShards.some((parent) => this.#cursors.has(parent))) this.#add(ShardId, 'TRIM_HORIZON');
    }
  }

  /** What may pass is waited for when following; an iterator too old is taken anew in any case. */
  async #bear(cursor: Cursor, error: unknown): Promise<void> {
    if (!(error instanceof CliError)) throw error;
    const { code, exit, message } = error.facts;
    if (code === 'ExpiredIteratorException') {
      cursor.iterator = null;
      return;
    }
    // Its own pace or another reader's: what is asked for is there.
    if (code === 'ProvisionedThroughputExceededException') {
      await pause(THROTTLED_MS);
      return;
    }
    const mayPass = exit === EXIT.unreachable || /LimitExceeded|Internal/.test(code);
    if (!mayPass || !this.#options.isFollowing) throw error;
    if (!this.#options.isJson) printNotice(`${message}; trying again`);
    await pause(RETRY_MS);
  }

  async #iteratorOf({ shardId, start, lastSequenceNumber }: Cursor): Promise<string> {
    const where =
      lastSequenceNumber === null
        ? { ShardIteratorType: start }
        : { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: lastSequenceNumber };
    const request = { StreamName: this.#options.stream, ShardId: shardId, ...where };
    const answer = await this.#api.kinesis('GetShardIterator', request);
    return answerOf(iterator, answer, this.#api).ShardIterator;
  }

  /** How many records it was: what the Kinesis Producer Library packs into one is printed as what was packed. */
  #print(shardId: string, one: Page['Records'][number]): number {
    const data = Buffer.from(one.Data, 'base64');
    const packed = decodeAggregate(data, md5);
    if (packed === null) {
      this.#printRecord(shardId, one, { partitionKey: one.PartitionKey, data });
      return 1;
    }
    packed.forEach((record, subSequenceNumber) =>
      this.#printRecord(shardId, one, record, { subSequenceNumber }),
    );
    return packed.length;
  }

  #printRecord(
    shardId: string,
    { SequenceNumber, ApproximateArrivalTimestamp }: Page['Records'][number],
    { partitionKey, data }: UserRecord,
    place: { readonly subSequenceNumber?: number } = {},
  ): void {
    const base64 = bufferOf(data).toString('base64');
    const text = bufferOf(data).toString('utf8');
    const isText = Buffer.from(text).equals(data);
    const arrivedAt = new Date(ApproximateArrivalTimestamp * 1000).toISOString();
    if (!this.#options.isJson)
      return printLine(printable(`${arrivedAt} ${partitionKey} ${isText ? text : base64}`));
    printDocument('tributary.record/1', {
      shardId,
      sequenceNumber: SequenceNumber,
      ...place,
      arrivedAt,
      partitionKey,
      data: base64,
      ...(isText ? { text } : {}),
    });
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function md5(bytes: Uint8Array): Uint8Array {
  return createHash('md5').update(bytes).digest();
}

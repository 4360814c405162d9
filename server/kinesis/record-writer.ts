// From a partition key to a place in a shard: which shard a record goes to, and its sequence number.
import { fromHashText, hashTextOf, parseHashKey, toHashText } from '../../stream/hash-range.ts';
import type { HashText } from '../../stream/hash-range.ts';
import type { RecordInput } from '../../stream/record.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { sequenceNumbersOf } from '../../stream/sequence-number.ts';
import { shardFor, shardIdOf } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError, rateExceeded } from './errors.ts';
import { streamNotFound } from './stream-errors.ts';
import type { ShardMeters } from './shard-meter.ts';
import type { Traffic } from './traffic.ts';
import { shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

export interface PutEntry {
  readonly Data: Uint8Array;
  readonly PartitionKey: string;
  readonly ExplicitHashKey?: string;
}

type Placed = { readonly ShardId: string; readonly SequenceNumber: string };

/** Data and key of a record against the stream's limit (Kinesis API, MaxRecordSizeInKiB). */
export function checkSize(row: StreamRow, entry: PutEntry): void {
  const bytes = entryBytes(entry);
  if (bytes <= row.maxRecordKiB * 1024) return;
  const text = `The record of ${bytes} bytes is larger than the ${row.maxRecordKiB} KiB that stream ${row.name} takes.`;
  throw kinesisError('ValidationException', text);
}

/** Entries of one request that go to one shard, in request order. */
export interface Share {
  readonly shard: Shard;
  readonly parts: readonly Part[];
}

interface Part extends RecordInput {
  /** In the request. */
  readonly place: number;
  readonly hashKey: HashText;
  readonly bytes: number;
}

export type Answer = Placed | { readonly error: unknown };

/** Throws InvalidArgumentException before anything is written. */
export function shareByShard(row: StreamRow, entries: readonly PutEntry[], context: KinesisContext): Share[] {
  return sharesOf(
    row,
    entries.map((entry, place) => ({
      partitionKey: entry.PartitionKey,
      data: entry.Data,
      place,
      hashKey: hashKeyFor(entry, context),
      bytes: entryBytes(entry),
    })),
  );
}

/**
 * Durable when resolved, with an answer for each entry: a shard that fails fails its own only. A full disk answers as a
 * throttle, so that clients try again.
 */
export async function writeShares(
  row: StreamRow,
  shares: readonly Share[],
  context: KinesisContext,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  const admitted = shares.map((share) => admit(row, share, answers, context));
  await Promise.all(admitted.map((share) => writeShare(row, share, answers, context, REROUTES_MAX)));
  return answers;
}

/** Each is a split or merge that came between; more than a few in a row are a fault. */
const REROUTES_MAX = 5;

/** What the shard's limits let in now; the rest is answered. */
function admit(row: StreamRow, share: Share, answers: Answer[], context: KinesisContext): Share {
  const meter = context.meters.of(row.id, share.shard.index);
  const parts = share.parts.filter(({ bytes, place }) => {
    if (meter.takeWrite(bytes)) return true;
    context.traffic.throttled('write', row, share.shard.index);
    answers[place] = { error: rateExceeded(row, share.shard, context.account) };
    return false;
  });
  return { shard: share.shard, parts };
}

export function entryBytes({ Data, PartitionKey }: PutEntry): number {
  return Data.length + Buffer.byteLength(PartitionKey);
}

async function writeShare(
  row: StreamRow,
  share: Share,
  answers: Answer[],
  context: KinesisContext,
  reroutesLeft: number,
): Promise<void> {
  if (share.parts.length === 0) return;
  try {
    await putToShard(row, share, answers, context);
  } catch (error) {
    const moved = reroutesLeft > 0 && isTributaryError(error, 'SHARD_CLOSED');
    const next = moved ? await afterReshard(row, context) : undefined;
    if (next === undefined) {
      const known = wireError(error, row, share.shard, context) ?? error;
      for (const { place } of share.parts) answers[place] = { error: known };
      return;
    }
    const shares = sharesOf(next, share.parts);
    await Promise.all(shares.map((one) => writeShare(next, one, answers, context, reroutesLeft - 1)));
  }
}

/** Undefined: its children cannot be made now. */
async function afterReshard(row: StreamRow, { catalog }: KinesisContext): Promise<StreamRow | undefined> {
  try {
    return await catalog.afterReshard(row.id);
  } catch {
    return undefined;
  }
}

function sharesOf(row: StreamRow, parts: readonly Part[]): Share[] {
  const shares = new Map<number, { shard: Shard; parts: Part[] }>();
  for (const part of parts) {
    const shard = shardFor(row.map, part.hashKey);
    const share = shares.get(shard.index);
    if (share === undefined) shares.set(shard.index, { shard, parts: [part] });
    else share.parts.push(part);
  }
  return [...shares.values()];
}

async function putToShard(
  row: StreamRow,
  { shard, parts }: Share,
  answers: Answer[],
  { records, traffic, meters }: KinesisContext,
): Promise<void> {
  const positions = await records.append(shardRef(row, shard), parts, { class: 'normal' });
  const ShardId = shardIdOf(shard.index);
  let part = 0;
  // What is put together usually lies in one block, where only the index differs.
  for (const { first, count } of positions.runs) {
    const numberAt = sequenceNumbersOf(first, shard.index);
    for (let index = 0; index < count; index += 1, part += 1) {
      answers[parts[part]?.place ?? 0] = { ShardId, SequenceNumber: numberAt(index) };
    }
  }
  count(row, { shard, parts }, traffic, meters);
}

function count(row: StreamRow, { shard, parts }: Share, traffic: Traffic, meters: ShardMeters): void {
  const meter = meters.of(row.id, shard.index);
  let total = 0;
  for (const { partitionKey, hashKey, bytes } of parts) {
    total += bytes;
    const samples = meter.keys.due(bytes);
    if (samples > 0) meter.keys.add(partitionKey, fromHashText(hashKey), samples);
  }
  meter.wrote(parts.length, total);
  traffic.stored(row, shard.index, { records: parts.length, bytes: total });
}

/** A shard that is still closed could not be split or merged to its end: the disk is full. */
const THROTTLES = ['BUSY', 'SHARD_CLOSED'] as const;

function wireError(
  error: unknown,
  row: StreamRow,
  shard: Shard,
  { account }: KinesisContext,
): Error | undefined {
  // To clients a throttle like the others, but not one that is over in a second: people must know why.
  if (isTributaryError(error, 'STORAGE_FULL'))
    return kinesisError('ProvisionedThroughputExceededException', error.message);
  if (THROTTLES.some((code) => isTributaryError(error, code))) {
    return rateExceeded(row, shard, account);
  }
  if (!isTributaryError(error, 'SHARD_NOT_FOUND')) return undefined;
  return streamNotFound(account, row.name);
}

/** Throws InvalidArgumentException for an explicit key outside [0, 2^128). */
function hashKeyFor(entry: PutEntry, { digest }: KinesisContext): HashText {
  if (entry.ExplicitHashKey === undefined) return hashTextOf(entry.PartitionKey, digest);
  try {
    return toHashText(parseHashKey(entry.ExplicitHashKey));
  } catch {
    const text = `Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was ${entry.ExplicitHashKey}`;
    throw kinesisError('InvalidArgumentException', text);
  }
}

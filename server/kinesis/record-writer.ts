// From a partition key to a place in a shard: which shard a record goes to, and its sequence number.
import { hashKeyOf, parseHashKey } from '../../stream/hash-range.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { recordBytes } from '../../stream/record.ts';
import type { Position } from '../../stream/position.ts';
import { sequenceNumbersOf } from '../../stream/sequence-number.ts';
import { shardFor, shardIdOf } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError } from './errors.ts';
import { streamNotFound } from './stream-errors.ts';
import { shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

export interface PutEntry {
  readonly Data: Uint8Array;
  readonly PartitionKey: string;
  readonly ExplicitHashKey?: string;
}

export type Placed = { readonly ShardId: string; readonly SequenceNumber: string };

/** The open shard of a record. Throws InvalidArgumentException for a hash key outside [0, 2^128). */
function placeOf(row: StreamRow, entry: PutEntry, { digest }: KinesisContext): Shard {
  return shardFor(row.map, explicitKey(entry) ?? hashKeyOf(entry.PartitionKey, digest));
}

/** Data and key of a record against the stream's limit (Kinesis API, MaxRecordSizeInKiB). */
export function checkSize(row: StreamRow, entry: PutEntry): void {
  const bytes = entry.Data.length + Buffer.byteLength(entry.PartitionKey);
  if (bytes <= row.maxRecordKiB * 1024) return;
  const text = `The record of ${bytes} bytes is larger than the ${row.maxRecordKiB} KiB that stream ${row.name} takes.`;
  throw kinesisError('ValidationException', text);
}

/** Entries of one request that go to one shard, in request order. */
export interface Share {
  readonly shard: Shard;
  readonly parts: readonly Part[];
}

interface Part {
  readonly entry: PutEntry;
  /** In the request. */
  readonly place: number;
}

export type Answer = Placed | { readonly error: unknown };

/** Throws InvalidArgumentException before anything is written. */
export function shareByShard(row: StreamRow, entries: readonly PutEntry[], context: KinesisContext): Share[] {
  return sharesOf(
    row,
    entries.map((entry, place) => ({ entry, place })),
    context,
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
  await Promise.all(shares.map((share) => writeShare(row, share, answers, context, REROUTES_MAX)));
  return answers;
}

/** Each is a split or merge that came between; more than a few in a row are a fault. */
const REROUTES_MAX = 5;

async function writeShare(
  row: StreamRow,
  share: Share,
  answers: Answer[],
  context: KinesisContext,
  reroutesLeft: number,
): Promise<void> {
  try {
    const places = share.parts.map(({ place }) => place);
    const placed = await putToShard(row, share, context);
    placed.forEach((one, index) => (answers[places[index] ?? 0] = one));
  } catch (error) {
    const moved = reroutesLeft > 0 && isTributaryError(error, 'SHARD_CLOSED');
    const next = moved ? await afterReshard(row, context) : undefined;
    if (next === undefined) {
      const known = wireError(error, row, share.shard, context) ?? error;
      for (const { place } of share.parts) answers[place] = { error: known };
      return;
    }
    const shares = sharesOf(next, share.parts, context);
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

function sharesOf(row: StreamRow, parts: readonly Part[], context: KinesisContext): Share[] {
  const shares = new Map<number, { shard: Shard; parts: Part[] }>();
  for (const part of parts) {
    const shard = placeOf(row, part.entry, context);
    const share = shares.get(shard.index);
    if (share === undefined) shares.set(shard.index, { shard, parts: [part] });
    else share.parts.push(part);
  }
  return [...shares.values()];
}

async function putToShard(
  row: StreamRow,
  { shard, parts }: Share,
  { records, traffic }: KinesisContext,
): Promise<Placed[]> {
  const input = parts.map(({ entry }) => ({ partitionKey: entry.PartitionKey, data: entry.Data }));
  const positions = await records.append(shardRef(row, shard), input, { class: 'normal' });
  traffic.received(
    row.name,
    input.length,
    input.reduce((sum, one) => sum + recordBytes(one), 0),
  );
  return placed(positions, shard);
}

/** What is put together usually lies in one block, where only the index differs. */
function placed(positions: Iterable<Position>, shard: Shard): Placed[] {
  const ShardId = shardIdOf(shard.index);
  let block = -1n;
  let numberAt: (index: number) => string = String;
  return Array.from(positions, (position) => {
    if (position >> 16n !== block) {
      block = position >> 16n;
      numberAt = sequenceNumbersOf((block << 16n) as Position, shard.index);
    }
    return { ShardId, SequenceNumber: numberAt(Number(position & 0xffffn)) };
  });
}

/** A shard that is still closed could not be split or merged to its end: the disk is full. */
const THROTTLES = ['BUSY', 'STORAGE_FULL', 'SHARD_CLOSED'] as const;

function wireError(
  error: unknown,
  row: StreamRow,
  shard: Shard,
  { account }: KinesisContext,
): Error | undefined {
  if (THROTTLES.some((code) => isTributaryError(error, code))) {
    const text = `Rate exceeded for shard ${shardIdOf(shard.index)} in stream ${row.name} under account ${account.accountId}.`;
    return kinesisError('ProvisionedThroughputExceededException', text);
  }
  if (!isTributaryError(error, 'SHARD_NOT_FOUND')) return undefined;
  return streamNotFound(account, row.name);
}

function explicitKey(entry: PutEntry): bigint | undefined {
  if (entry.ExplicitHashKey === undefined) return undefined;
  try {
    return parseHashKey(entry.ExplicitHashKey);
  } catch {
    const text = `Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was ${entry.ExplicitHashKey}`;
    throw kinesisError('InvalidArgumentException', text);
  }
}

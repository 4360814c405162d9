// From a partition key to a place in a shard: which shard a record goes to, and its sequence number.
import { hashKeyOf, parseHashKey } from '../../stream/hash-range.ts';
import { isTributaryError } from '../../stream/errors.ts';
import type { Position } from '../../stream/position.ts';
import { sequenceNumbersOf } from '../../stream/sequence-number.ts';
import { shardFor, shardIdOf } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError, rateExceeded } from './errors.ts';
import { streamNotFound } from './stream-errors.ts';
import { shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

export interface PutEntry {
  readonly Data: Uint8Array;
  readonly PartitionKey: string;
  readonly ExplicitHashKey?: string;
}

export type Placed = { readonly ShardId: string; readonly SequenceNumber: string };

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

interface Part {
  readonly entry: PutEntry;
  /** In the request. */
  readonly place: number;
  readonly hashKey: bigint;
}

export type Answer = Placed | { readonly error: unknown };

/** Throws InvalidArgumentException before anything is written. */
export function shareByShard(row: StreamRow, entries: readonly PutEntry[], context: KinesisContext): Share[] {
  return sharesOf(
    row,
    entries.map((entry, place) => ({ entry, place, hashKey: hashKeyFor(entry, context) })),
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
  const parts = share.parts.filter(({ entry, place }) => {
    if (meter.takeWrite(entryBytes(entry))) return true;
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
  { records, traffic, meters }: KinesisContext,
): Promise<Placed[]> {
  const input = parts.map(({ entry }) => ({ partitionKey: entry.PartitionKey, data: entry.Data }));
  const positions = await records.append(shardRef(row, shard), input, { class: 'normal' });
  const meter = meters.of(row.id, shard.index);
  let bytes = 0;
  for (const { entry, hashKey } of parts) {
    const size = entryBytes(entry);
    bytes += size;
    if (meter.keys.isDue(size)) meter.keys.add(entry.PartitionKey, hashKey);
  }
  meter.wrote(parts.length, bytes);
  traffic.stored(row, shard.index, { records: parts.length, bytes });
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
    return rateExceeded(row, shard, account);
  }
  if (!isTributaryError(error, 'SHARD_NOT_FOUND')) return undefined;
  return streamNotFound(account, row.name);
}

/** Throws InvalidArgumentException for an explicit key outside [0, 2^128). */
function hashKeyFor(entry: PutEntry, { digest }: KinesisContext): bigint {
  if (entry.ExplicitHashKey === undefined) return hashKeyOf(entry.PartitionKey, digest);
  try {
    return parseHashKey(entry.ExplicitHashKey);
  } catch {
    const text = `Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was ${entry.ExplicitHashKey}`;
    throw kinesisError('InvalidArgumentException', text);
  }
}

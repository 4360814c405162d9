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
import { shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

export interface PutEntry {
  readonly Data: Uint8Array;
  readonly PartitionKey: string;
  readonly ExplicitHashKey?: string;
}

export type Placed = { readonly ShardId: string; readonly SequenceNumber: string };

/** The open shard of a record. Throws InvalidArgumentException for a hash key outside [0, 2^128). */
export function placeOf(row: StreamRow, entry: PutEntry, { digest }: KinesisContext): Shard {
  return shardFor(row.map, explicitKey(entry) ?? hashKeyOf(entry.PartitionKey, digest));
}

/** Data and key of a record against the stream's limit (Kinesis API, MaxRecordSizeInKiB). */
export function checkSize(row: StreamRow, entry: PutEntry): void {
  const bytes = entry.Data.length + Buffer.byteLength(entry.PartitionKey);
  if (bytes <= row.maxRecordKiB * 1024) return;
  const text = `The record of ${bytes} bytes is larger than the ${row.maxRecordKiB} KiB that stream ${row.name} takes.`;
  throw kinesisError('ValidationException', text);
}

/** Appends to one shard in order; durable when resolved. A full disk answers as a throttle, so that clients try again. */
export async function putToShard(
  row: StreamRow,
  shard: Shard,
  entries: readonly PutEntry[],
  context: KinesisContext,
): Promise<Placed[]> {
  const records = entries.map((entry) => ({ partitionKey: entry.PartitionKey, data: entry.Data }));
  try {
    const positions = await context.records.append(shardRef(row, shard), records, { class: 'normal' });
    context.traffic.received(
      row.name,
      records.length,
      records.reduce((sum, one) => sum + recordBytes(one), 0),
    );
    return placed(positions, shard);
  } catch (error) {
    throw wireError(error, row, shard, context) ?? error;
  }
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

function wireError(
  error: unknown,
  row: StreamRow,
  shard: Shard,
  { account }: KinesisContext,
): Error | undefined {
  if (isTributaryError(error, 'BUSY') || isTributaryError(error, 'STORAGE_FULL')) {
    const text = `Rate exceeded for shard ${shardIdOf(shard.index)} in stream ${row.name} under account ${account.accountId}.`;
    return kinesisError('ProvisionedThroughputExceededException', text);
  }
  if (!isTributaryError(error, 'SHARD_NOT_FOUND')) return undefined;
  return kinesisError(
    'ResourceNotFoundException',
    `Stream ${row.name} under account ${account.accountId} not found.`,
  );
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

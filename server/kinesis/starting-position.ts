// Where in a shard a reader starts, however it reads (Kinesis API, GetShardIterator and StartingPosition).
import { START_POSITION, nextPosition } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import { parseSequenceNumber } from '../../stream/sequence-number.ts';
import type { SequenceParts } from '../../stream/sequence-number.ts';
import { shardIdOf, shardIndexOf } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError } from './errors.ts';
import { shardRef, unexpiredShard } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

export interface StartingPosition {
  readonly Type: 'AT_SEQUENCE_NUMBER' | 'AFTER_SEQUENCE_NUMBER' | 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP';
  readonly SequenceNumber?: string | undefined;
  /** Milliseconds. */
  readonly Timestamp?: number | undefined;
}

interface Place {
  readonly row: StreamRow;
  readonly shard: Shard;
  /** That asks, for the texts of errors. */
  readonly operation: string;
}

/** Throws InvalidArgumentException with what does not fit together. */
export async function positionOf(
  start: StartingPosition,
  place: Place,
  context: KinesisContext,
): Promise<Position> {
  checkArguments(start, context);
  const { row, shard } = place;
  switch (start.Type) {
    case 'TRIM_HORIZON':
      return START_POSITION;
    case 'LATEST':
      return (await context.log.bounds(shardRef(row, shard))).next;
    case 'AT_TIMESTAMP':
      return context.log.seekTime(shardRef(row, shard), start.Timestamp ?? 0);
    case 'AT_SEQUENCE_NUMBER':
      return await numberOf(start, place, context);
    case 'AFTER_SEQUENCE_NUMBER':
      return nextPosition(await numberOf(start, place, context));
  }
}

async function numberOf(
  { SequenceNumber: number = '' }: StartingPosition,
  { row, shard, operation }: Place,
  { account, log }: KinesisContext,
): Promise<Position> {
  const parts = parsed(number);
  if (parts !== null && parts.shardIndex !== shard.index) {
    const text = `Invalid StartingSequenceNumber. It encodes ${shardIdOf(parts.shardIndex)}, while it was used in a call to a shard with ${shardIdOf(shard.index)}`;
    throw kinesisError('InvalidArgumentException', text);
  }
  // A number that was not given yet would hide the records that come before it.
  if (parts !== null && parts.position < (await log.bounds(shardRef(row, shard))).next) return parts.position;
  const text = `StartingSequenceNumber ${number} used in ${operation} on shard ${shardIdOf(shard.index)} in stream ${row.name} under account ${account.accountId} is invalid.`;
  throw kinesisError('InvalidArgumentException', text);
}

function parsed(number: string): SequenceParts | null {
  try {
    return parseSequenceNumber(number);
  } catch {
    return null;
  }
}

/** Throws ResourceNotFoundException. */
export function shardNamed(row: StreamRow, shardId: string, { account, clock }: KinesisContext): Shard {
  const index = shardIndexOf(shardId);
  const shard = index === null ? undefined : unexpiredShard(row, index, clock.wallMs());
  if (shard !== undefined) return shard;
  const text =
    index === null
      ? `Could not find shard ${shardId} in stream ${row.name} under account ${account.accountId}.`
      : `Shard ${shardIdOf(index)} in stream ${row.name} under account ${account.accountId} does not exist`;
  throw kinesisError('ResourceNotFoundException', text);
}

function checkArguments(start: StartingPosition, { clock }: KinesisContext): void {
  const needsNumber = start.Type.endsWith('SEQUENCE_NUMBER');
  const hasNumber = start.SequenceNumber !== undefined;
  if (start.Type !== 'AT_TIMESTAMP' && needsNumber !== hasNumber) {
    const tail = hasNumber ? 'and also a StartingSequenceNumber.' : 'and no StartingSequenceNumber.';
    const text = `Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified ${start.Type} ${tail}`;
    throw kinesisError('InvalidArgumentException', text);
  }
  if (start.Type !== 'AT_TIMESTAMP') return;
  if (start.Timestamp === undefined) {
    const text =
      'Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.';
    throw kinesisError('InvalidArgumentException', text);
  }
  const nowMs = clock.wallMs();
  if (start.Timestamp <= nowMs) return;
  const text = `The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: ${start.Timestamp}, currentTimestampInMillis: ${nowMs}`;
  throw kinesisError('InvalidArgumentException', text);
}

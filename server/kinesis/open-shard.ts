// What the operations that split and merge shards ask of a stream and its shards.
import { shardIndexOf } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError } from './errors.ts';
import { unexpiredShard } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

/** Throws ResourceNotFoundException for no shard of the stream, ResourceInUseException for a closed one. */
export function openShardOf(row: StreamRow, shardId: string, { account, clock }: KinesisContext): Shard {
  const index = shardIndexOf(shardId);
  const shard = index === null ? undefined : unexpiredShard(row, index, clock.wallMs());
  const place = `in stream ${row.name} under account ${account.accountId}`;
  if (shard === undefined)
    throw kinesisError('ResourceNotFoundException', `Could not find shard ${shardId} ${place}.`);
  if (shard.closedAtMs === null) return shard;
  throw kinesisError('ResourceInUseException', `Shard ${shardId} ${place} is closed: it has children.`);
}

/** Streams on demand are scaled by the service alone. Throws ValidationException. */
export function checkProvisioned(row: StreamRow, { account }: KinesisContext): void {
  if (row.mode === 'PROVISIONED') return;
  throw kinesisError(
    'ValidationException',
    `Request is invalid. Stream ${row.name} under account ${account.accountId} is in On-Demand mode.`,
  );
}

// The stream whose shards or consumers a client lists.
import type { KinesisContext } from './context.ts';
import { kinesisError } from './errors.ts';
import { streamNotActive } from './stream-errors.ts';
import type { StreamRow } from './stream-row.ts';

/**
 * `createdMs`: the stream that is meant was created then, milliseconds; a later one of its name is not found. One that is
 * being made or deleted has no list yet or no longer: ResourceInUseException, and clients ask again.
 */
export function listableStream(
  name: string,
  createdMs: number | undefined,
  { catalog, account }: KinesisContext,
): StreamRow {
  const row = catalog.get(name);
  const isMeant = createdMs === undefined || wholeSeconds(createdMs) === wholeSeconds(row.createdAtMs);
  if (!isMeant) {
    const text = `Stream ${name} under account ${account.accountId} not found: it was not created at that time.`;
    throw kinesisError('ResourceNotFoundException', text);
  }
  if (row.status !== 'CREATING' && row.status !== 'DELETING') return row;
  throw streamNotActive(account, row);
}

/** Clients print timestamps in whole seconds and send them back. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

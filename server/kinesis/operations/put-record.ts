// PutRecord: one record, durable before the reply (Kinesis API, PutRecord).
import { parseSequenceNumber } from '../../../stream/sequence-number.ts';
import type { Caller } from '../../access/caller.ts';
import { streamNameOf } from '../arn.ts';
import { endDryRun } from '../context.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { kinesisError } from '../errors.ts';
import { checkSize, entryBytes, shareByShard, writeShares } from '../record-writer.ts';
import type { PutEntry } from '../record-writer.ts';
import { encryptionOf } from '../stream-encryption.ts';

export interface PutRecordInput extends StreamInput, PutEntry {
  readonly SequenceNumberForOrdering?: string;
  readonly DryRun?: boolean;
}

export async function putRecord(
  input: PutRecordInput,
  context: KinesisContext,
  caller: Caller,
): Promise<object | undefined> {
  const row = context.catalog.active(streamNameOf(context.account, input));
  checkSize(row, input);
  checkOrdering(input.SequenceNumberForOrdering, row.name, context);
  const shares = shareByShard(row, [input], context);
  await context.encryption.admitWrite(row, caller);
  endDryRun(input);
  const [answer] = await writeShares(row, shares, context);
  if (answer !== undefined && 'error' in answer) throw answer.error;
  const stored = { records: 1, failed: 0, throttled: 0 };
  context.traffic.put('PutRecord', row.name, entryBytes(input), stored);
  return { ...answer, ...encryptionOf(row) };
}

/** Numbers of a shard always grow, so a valid one is already smaller than the next. */
function checkOrdering(number: string | undefined, name: string, { account }: KinesisContext): void {
  if (number === undefined) return;
  try {
    parseSequenceNumber(number);
  } catch {
    const text = `ExclusiveMinimumSequenceNumber ${number} used in PutRecord on stream ${name} under account ${account.accountId} is invalid.`;
    throw kinesisError('InvalidArgumentException', text);
  }
}

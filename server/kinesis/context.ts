// What every operation of the service works with, and how it says "done".
import type { OperationEntry } from '../wire/aws-json.ts';
import type { ValidatedInput } from '../wire/shape-validator.ts';
import type { Clock, Digest } from '../../stream/ports.ts';
import type { RecordLog } from '../../storage/record-log.ts';
import type { ShardLog } from '../../stream/ports.ts';
import type { Account } from './arn.ts';
import { kinesisError } from './errors.ts';
import type { TokenSigner } from './page-token.ts';
import type { StreamCatalog } from './stream-catalog.ts';
import type { Traffic } from './traffic.ts';

export interface KinesisContext {
  readonly account: Account;
  readonly catalog: StreamCatalog;
  readonly records: RecordLog;
  readonly log: ShardLog;
  readonly tokens: TokenSigner;
  readonly clock: Clock;
  readonly digest: Digest;
  readonly traffic: Traffic;
}

/** The part of an input that names a stream. */
export interface StreamInput {
  readonly StreamName?: string;
  readonly StreamARN?: string;
}

/** An operation whose input has been checked against `shape`, hence against `Input`. */
export function operation<Input>(
  shape: string,
  context: KinesisContext,
  handle: (input: Input, context: KinesisContext) => Promise<object | undefined>,
): OperationEntry {
  // The validator has just checked these members and types against the service model.
  return { input: shape, handle: (input: ValidatedInput) => handle(input as Input, context) };
}

/** Kinesis API: a dry run does everything but the thing itself, and then answers this. */
export function endDryRun(input: { readonly DryRun?: boolean }): void {
  if (input.DryRun !== true) return;
  throw kinesisError('DryRunOperationException', 'Request would have succeeded, but the DryRun flag is set.');
}

// What every operation of the service works with, and how it says "done".
import type { AuditLog } from '../access/audit-log.ts';
import type { Caller } from '../access/caller.ts';
import type { RequestedTags } from '../access/request-context.ts';
import type { OperationEntry, StreamReply } from '../wire/operation.ts';
import { auditedCall } from '../wire/json-api.ts';
import type { ValidatedInput } from '../wire/shape.ts';
import type { Clock, Digest } from '../../stream/ports.ts';
import type { RecordLog } from '../../storage/record-log.ts';
import type { ShardLog } from '../../stream/ports.ts';
import { assert } from '../../stream/errors.ts';
import type { AccountSettings } from './account-settings.ts';
import type { Account } from './account.ts';
import type { CallLimits } from './call-limits.ts';
import type { Consumers } from './consumers.ts';
import { kinesisError } from './errors.ts';
import { KINESIS_MODEL } from './model.ts';
import type { TokenSigner } from './page-token.ts';
import { requestedTags } from './requested-tags.ts';
import { resourceOf } from './resource.ts';
import type { ShardMeters } from './shard-meter.ts';
import type { StreamCatalog } from './stream-catalog.ts';
import type { StreamEncryption } from './stream-encryption.ts';
import type { Subscriptions } from './subscriptions.ts';
import { isTimed } from './traffic.ts';
import type { TimedCall, Traffic } from './traffic.ts';

export interface KinesisContext {
  readonly account: Account;
  readonly catalog: StreamCatalog;
  readonly consumers: Consumers;
  readonly settings: AccountSettings;
  readonly encryption: StreamEncryption;
  readonly subscriptions: Subscriptions;
  readonly records: RecordLog;
  readonly log: ShardLog;
  readonly tokens: TokenSigner;
  readonly clock: Clock;
  readonly digest: Digest;
  readonly traffic: Traffic;
  readonly meters: ShardMeters;
  readonly calls: CallLimits;
  readonly authorize: Authorize;
  readonly audit: Pick<AuditLog, 'around'>;
}

/** Throws AccessDeniedException unless the caller may do `action` (`kinesis:PutRecord`) to `resource` (an ARN, or `*`). */
export type Authorize = (caller: Caller, action: string, resource: string, requested?: RequestedTags) => void;

/** These change nothing but records, and there are far too many of them for the audit log. */
const NOT_AUDITED = /^(?:Describe|List|Get)|^PutRecords?$/;

/** An operation whose input has been checked against its shape in the model, hence against `Input`. */
export function operation<Input>(
  context: KinesisContext,
  name: string,
  handle: (input: Input, context: KinesisContext, caller: Caller) => Promise<object | undefined>,
): OperationEntry {
  return {
    input: inputShape(name),
    handle: async (checked, caller) => {
      const resource = admit(context, name, checked, caller);
      // The validator has just checked these members and types against the service model.
      const run = (): Promise<object | undefined> => handle(checked as Input, context, caller);
      if (isTimed(name)) return timed(context, name, resource, run);
      if (NOT_AUDITED.test(name)) return run();
      return context.audit.around(auditedCall(caller, `kinesis:${name}`, resource), run);
    },
  };
}

/** The same for one whose reply is a stream; the caller is admitted before its first byte. */
export function streamingOperation<Input>(
  context: KinesisContext,
  name: string,
  stream: (input: Input, context: KinesisContext, reply: StreamReply, caller: Caller) => Promise<void>,
): OperationEntry {
  return {
    input: inputShape(name),
    stream: async (checked, caller, reply) => {
      admit(context, name, checked, caller);
      return stream(checked as Input, context, reply, caller);
    },
  };
}

function inputShape(name: string): string {
  const input = KINESIS_MODEL.operations[name]?.input;
  assert(input !== undefined, `the model has operation ${name}`);
  return input;
}

/** The resource, once its caller may do this to it, and not too often. */
function admit(context: KinesisContext, name: string, checked: ValidatedInput, caller: Caller): string {
  const resource = resourceOf(name, checked, context);
  context.authorize(caller, `kinesis:${name}`, resource, requestedTags(checked));
  context.calls.check(name, resource);
  return resource;
}

async function timed<T>(
  { clock, traffic }: KinesisContext,
  name: TimedCall,
  resource: string,
  run: () => Promise<T>,
): Promise<T> {
  const stream = resource.slice(resource.indexOf('/') + 1);
  const startedUs = clock.monotonicUs();
  const done = (isSuccess: boolean): void =>
    traffic.called(name, stream, Number(clock.monotonicUs() - startedUs) / 1_000, isSuccess);
  try {
    const output = await run();
    done(true);
    return output;
  } catch (error) {
    done(false);
    throw error;
  }
}

/** Kinesis API: a dry run does everything but the thing itself, and then answers this. */
export function endDryRun(input: { readonly DryRun?: boolean }): void {
  if (input.DryRun !== true) return;
  throw kinesisError('DryRunOperationException', 'Request would have succeeded, but the DryRun flag is set.');
}

// The exceptions of the Kinesis service and what each means to a client.
import { shardIdOf } from '../../stream/shard-map.ts';
import { ServiceError } from '../wire/service-error.ts';

interface Facts {
  readonly status: number;
  readonly fault: 'client' | 'server';
  readonly retryable: boolean;
}

const CALLER: Facts = { status: 400, fault: 'client', retryable: false };
/** The same request may succeed later; SDKs back off and try again. */
const LATER: Facts = { status: 400, fault: 'client', retryable: true };
const OURS: Facts = { status: 500, fault: 'server', retryable: true };

const KINESIS_ERRORS = {
  AccessDeniedException: CALLER,
  DryRunOperationException: CALLER,
  ExpiredIteratorException: CALLER,
  ExpiredNextTokenException: CALLER,
  InternalFailure: OURS,
  InternalFailureException: OURS,
  InvalidArgumentException: CALLER,
  KMSAccessDeniedException: CALLER,
  KMSDisabledException: CALLER,
  KMSInvalidStateException: CALLER,
  KMSNotFoundException: CALLER,
  KMSOptInRequired: CALLER,
  KMSThrottlingException: LATER,
  LimitExceededException: LATER,
  ProvisionedThroughputExceededException: LATER,
  ResourceInUseException: CALLER,
  ResourceNotFoundException: CALLER,
  UnknownOperationException: CALLER,
  ValidationException: CALLER,
} as const satisfies Record<string, Facts>;

export type KinesisErrorName = keyof typeof KINESIS_ERRORS;

export function kinesisError(type: KinesisErrorName, message: string): ServiceError {
  return new ServiceError({ type, ...KINESIS_ERRORS[type], message });
}

/** A limit of one shard: clients wait and try again. */
export function rateExceeded(
  stream: { readonly name: string },
  shard: { readonly index: number },
  account: { readonly accountId: string },
): ServiceError {
  const text = `Rate exceeded for shard ${shardIdOf(shard.index)} in stream ${stream.name} under account ${account.accountId}.`;
  return kinesisError('ProvisionedThroughputExceededException', text);
}

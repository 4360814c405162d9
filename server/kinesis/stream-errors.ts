// What the service says of a stream or a consumer that is not there, there already, or not in the state that a call needs.
import type { ServiceError } from '../wire/service-error.ts';
import type { Account } from './account.ts';
import { kinesisError } from './errors.ts';
import type { StreamRow } from './stream-row.ts';

export function streamNotFound({ accountId }: Pick<Account, 'accountId'>, name: string): ServiceError {
  return kinesisError('ResourceNotFoundException', `Stream ${name} under account ${accountId} not found.`);
}

export function streamExists({ accountId }: Account, name: string): ServiceError {
  return kinesisError('ResourceInUseException', `Stream ${name} under account ${accountId} already exists.`);
}

export function streamNotActive(
  { accountId }: Account,
  { name, status }: Pick<StreamRow, 'name' | 'status'>,
): ServiceError {
  const text = `Stream ${name} under account ${accountId} not ACTIVE, instead in state ${status}`;
  return kinesisError('ResourceInUseException', text);
}

/** `more`: shards that the request would add. */
export function tooManyShards(
  { accountId, region }: Account,
  { count, more, limit }: { readonly count: number; readonly more: number; readonly limit: number },
): ServiceError {
  const text = `This request would exceed the shard limit for the account ${accountId} in ${region}. Current shard count for the account: ${count}. Limit: ${limit}. Number of additional shards that would have resulted from this request: ${more}. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.`;
  return kinesisError('LimitExceededException', text);
}

export function tooManyKept(
  { accountId }: Account,
  { name, count, limit }: { readonly name: string; readonly count: number; readonly limit: number },
): ServiceError {
  const text = `Stream ${name} under account ${accountId} has ${count} shards that are open or keep records, of at most ${limit}: wait until closed ones expire, or decrease the retention period.`;
  return kinesisError('LimitExceededException', text);
}

export function consumerNotActive(
  { accountId }: Account,
  { name, streamName, createdAtMs }: { name: string; streamName: string; createdAtMs: number },
): ServiceError {
  const seconds = Math.floor(createdAtMs / 1000);
  const text = `Consumer ${name} with creation timestamp ${seconds} under stream ${streamName} and account ${accountId} is not in ACTIVE status.`;
  return kinesisError('ResourceInUseException', text);
}

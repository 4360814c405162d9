// What the service says of a stream that is not there, there already, or not in the state that a call needs.
import type { ServiceError } from '../wire/service-error.ts';
import type { Account } from './arn.ts';
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

// Names of streams on the wire: ARNs of this account and region, and which stream a request means.
import type { Account } from './account.ts';
import { kinesisError } from './errors.ts';
import { streamNotFound } from './stream-errors.ts';

export function streamArn(account: Account, name: string): string {
  return `arn:aws:kinesis:${account.region}:${account.accountId}:stream/${name}`;
}

/** `createdAtSeconds` tells a consumer from one of the same name that was registered before. */
export function consumerArn(ofStream: string, name: string, createdAtSeconds: number): string {
  return `${ofStream}/consumer/${name}:${createdAtSeconds}`;
}

/**
 * The stream of StreamName and StreamARN, which must agree. An ARN of another account or region names a stream
 * that is not here: never silently the local one of that name.
 */
export function streamNameOf(account: Account, input: { StreamName?: string; StreamARN?: string }): string {
  const { StreamName: name, StreamARN: arn } = input;
  if (arn === undefined) {
    if (name !== undefined) return name;
    throw kinesisError('InvalidArgumentException', 'Either StreamName or StreamARN should be provided.');
  }
  const [, , , region, accountId, resource = ''] = arn.split(':');
  const named = resource.slice(resource.indexOf('/') + 1);
  if (region !== account.region || accountId !== account.accountId) {
    throw streamNotFound({ accountId: accountId ?? '' }, named);
  }
  if (name === undefined || name === named) return named;
  throw kinesisError('InvalidArgumentException', 'StreamName and StreamARN do not name the same stream.');
}

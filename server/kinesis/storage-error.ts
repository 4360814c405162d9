// What a client of the service is told when the store refuses: try again later, or it is not there.
import { isTributaryError } from '../../stream/errors.ts';
import type { ErrorCode } from '../../stream/errors.ts';
import type { ServiceError } from '../wire/service-error.ts';
import { kinesisError } from './errors.ts';

/** SDKs back off and try again. */
const LATER: readonly ErrorCode[] = ['STORAGE_FULL', 'BUSY', 'META_CONFLICT'];

/** Undefined: a failure of ours. */
export function kinesisStorageError(error: unknown): ServiceError | undefined {
  if (!isTributaryError(error)) return undefined;
  if (LATER.includes(error.code)) return kinesisError('LimitExceededException', error.message);
  if (error.code !== 'SHARD_NOT_FOUND') return undefined;
  return kinesisError('ResourceNotFoundException', `The stream is gone: ${error.message}`);
}

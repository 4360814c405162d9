// What the operations that switch encryption on and off are asked with.
import { kinesisError } from './errors.ts';

export interface EncryptionInput {
  readonly EncryptionType: 'NONE' | 'KMS';
  readonly KeyId: string;
}

/** NONE is an answer, nothing to ask for. Throws InvalidArgumentException. */
export function checkKms({ EncryptionType }: EncryptionInput): void {
  if (EncryptionType === 'KMS') return;
  throw kinesisError('InvalidArgumentException', 'EncryptionType must be KMS.');
}

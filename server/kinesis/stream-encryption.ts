// Who may write to and read from encrypted streams, and whether their keys can be used now (Kinesis API,
// StartStreamEncryption: writing needs kms:GenerateDataKey, reading kms:Decrypt on the key).
import type { StreamKeys } from '../../storage/seal/stream-keys.ts';
import type { Caller } from '../access/caller.ts';
import type { NamedKeys } from './named-keys.ts';
import type { StreamRow } from './stream-row.ts';

type KeyAction = 'kms:GenerateDataKey' | 'kms:Decrypt';

export interface StreamEncryptionParts {
  readonly named: NamedKeys;
  readonly data: StreamKeys;
  /** Throws KMSAccessDeniedException. */
  readonly authorizeKey: (caller: Caller, action: KeyAction, keyArn: string) => void;
}

export class StreamEncryption {
  readonly #parts: StreamEncryptionParts;

  constructor(parts: StreamEncryptionParts) {
    this.#parts = parts;
  }

  /** The id of the key that KeyId names, which the caller may use and which can be used. Throws the six KMS errors. */
  async begin(row: StreamRow, keyId: string, caller: Caller): Promise<string> {
    const { named, data } = this.#parts;
    const key = named.idOf(keyId);
    this.#authorize(caller, 'kms:GenerateDataKey', key);
    await data.renew(row.id, key);
    return key;
  }

  /** Whether `keyId` names the key of that id. */
  isNameOf(keyId: string, key: string): boolean {
    return this.#parts.named.find(keyId) === key;
  }

  /** Before records are written. Throws the KMS errors. */
  async admitWrite(row: StreamRow, caller: Caller): Promise<void> {
    if (row.encryption === undefined) return;
    this.#authorize(caller, 'kms:GenerateDataKey', row.encryption.key);
    await this.#parts.data.prove(row.id);
  }

  /** Before records that were read are handed out. Throws KMSAccessDeniedException. */
  admitRead(records: readonly { readonly streamKey: number | undefined }[], caller: Caller): void {
    const numbers = new Set(records.map(({ streamKey }) => streamKey));
    for (const number of numbers) {
      const key = number === undefined ? undefined : this.#parts.data.namedKeyOf(number);
      if (key !== undefined) this.#authorize(caller, 'kms:Decrypt', key);
    }
  }

  #authorize(caller: Caller, action: KeyAction, key: string): void {
    const { named, authorizeKey } = this.#parts;
    if (!named.isBuiltIn(key)) authorizeKey(caller, action, named.arnOf(key));
  }
}

/** What the reply to a put says of it: nothing when there is none. */
export function encryptionOf(row: Pick<StreamRow, 'encryption'>): object {
  return row.encryption === undefined ? {} : { EncryptionType: 'KMS' };
}

/** What descriptions say of it. */
export function encryptionType(row: Pick<StreamRow, 'encryption'>): 'NONE' | 'KMS' {
  return row.encryption === undefined ? 'NONE' : 'KMS';
}

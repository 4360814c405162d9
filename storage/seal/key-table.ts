// The table of keys of a store: each row is a data key, wrapped by a master key that is kept elsewhere. Rows are added
// and wrapped anew, never removed: old blocks need them.
import { z } from 'zod';
import { TributaryError, isTributaryError } from '../../stream/errors.ts';
import type { MetaEntry } from '../../stream/ports.ts';
import { keySetting } from '../../runtime/master-key.ts';
import type { MasterKey } from '../../runtime/master-key.ts';

export const KEYS_PREFIX = 'keys/';
/** The key that seals the secrets of the program, when that is not the key file itself. */
export const SECRETS_KEY = `${KEYS_PREFIX}secrets`;

const keyRow = z.strictObject({
  version: z.literal(1),
  /** Where the master key that wraps it is found. */
  master: keySetting,
  fingerprint: z.string(),
  wrapped: z.base64(),
  createdMs: z.number(),
  /** Blocks it may have sealed: counted before they are. */
  uses: z.int().min(0),
});
export type KeyRow = z.output<typeof keyRow>;

export function blockKeyName(id: number): string {
  return KEYS_PREFIX + String(id).padStart(10, '0');
}

/** Null: it is not a key for blocks. */
export function blockKeyId(name: string): number | null {
  const digits = /^keys\/(\d{10})$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

export function encodeKeyRow(row: KeyRow): Uint8Array {
  return Buffer.from(JSON.stringify(row));
}

/** Throws STORAGE_FAILED when it is none. */
export function decodeKeyRow({ key, value }: Pick<MetaEntry, 'key' | 'value'>): KeyRow {
  try {
    return keyRow.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch (cause) {
    throw new TributaryError('STORAGE_FAILED', `the row ${key} of the table of keys is damaged`, { cause });
  }
}

export function keyRowOf(master: MasterKey, wrapped: Uint8Array, createdMs: number, uses: number): KeyRow {
  const { setting, fingerprint } = master;
  return {
    version: 1,
    master: setting,
    fingerprint,
    wrapped: Buffer.from(wrapped).toString('base64'),
    createdMs,
    uses,
  };
}

/** The master key that wrapped it says so itself. */
export async function unwrapRow(name: string, row: KeyRow, master: MasterKey): Promise<Uint8Array> {
  try {
    return await master.unwrap(Buffer.from(row.wrapped, 'base64'), name);
  } catch (error) {
    if (!isTributaryError(error, 'KEY_INVALID') || master.setting.provider === 'aws-kms') throw error;
    throw new TributaryError(
      'KEY_INVALID',
      `the row ${name} of the table of keys was changed: its own master key (fingerprint ${row.fingerprint}) does not open it; restore the store from its backup`,
      { cause: error },
    );
  }
}

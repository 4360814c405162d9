// Secrets the server makes for itself and keeps for ever, sealed in Meta: what it signs must be valid after a restart.
import { randomBytes } from 'node:crypto';
import { isTributaryError } from '../../stream/errors.ts';
import type { Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';

/** Rows of the map that hold them. */
export const SECRETS_PREFIX = 'secret/';
const SECRET_BYTES = 32;

/** The secret of that name, made at first use. Throws KEY_INVALID when the key file is not the one it was sealed with. */
export async function openSecret(
  meta: Meta,
  sealer: Sealer,
  name: string,
  make: () => Uint8Array = () => randomBytes(SECRET_BYTES),
): Promise<Uint8Array> {
  const key = SECRETS_PREFIX + name;
  const known = await meta.get(key);
  if (known !== null) return sealer.open(known.value, key);
  const secret = make();
  try {
    await meta.put(key, sealer.seal(secret, key), 'absent');
    return secret;
  } catch (error) {
    if (isTributaryError(error, 'META_CONFLICT')) return openSecret(meta, sealer, name, make);
    throw error;
  }
}

// Who this gateway is: its key, the code it may still have to redeem, and what the server gave it. Sealed, in Meta;
// the key is durable before the code is used, so that a crash in between asks again with the same key.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { z } from 'zod';
import type { Meta } from '../stream/ports.ts';
import type { Sealer } from '../runtime/key-provider.ts';
import type { GatewayIdentity } from '../sync/ports.ts';
import type { EnrolResponse } from '../sync/protocol.ts';

const KEY = 'identity';

const identityRow = z.strictObject({
  version: z.literal(1),
  /** Ed25519, PKCS #8 in DER. */
  privateKey: z.base64(),
  serverUrl: z.string(),
  pendingCode: z.string().nullable(),
  enrolled: z
    .strictObject({ gateway: z.string(), serverPublicKey: z.base64(), token: z.string() })
    .nullable(),
});
type IdentityRow = z.output<typeof identityRow>;

export class IdentityStore {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  #row: IdentityRow | null;

  private constructor(meta: Meta, sealer: Sealer, row: IdentityRow | null) {
    this.#meta = meta;
    this.#sealer = sealer;
    this.#row = row;
  }

  /** Throws KEY_INVALID when the folder's key file is not the one that sealed the identity. */
  static async open(meta: Meta, sealer: Sealer): Promise<IdentityStore> {
    const entry = await meta.get(KEY);
    if (entry === null) return new IdentityStore(meta, sealer, null);
    const text = Buffer.from(sealer.open(entry.value, KEY)).toString('utf8');
    return new IdentityStore(meta, sealer, identityRow.parse(JSON.parse(text)));
  }

  /** Null: not enrolled. */
  get identity(): GatewayIdentity | null {
    const row = this.#row;
    if (row === null || row.enrolled === null) return null;
    const { gateway, serverPublicKey, token } = row.enrolled;
    return {
      gateway,
      privateKey: privateKeyOf(row),
      serverPublicKey: Buffer.from(serverPublicKey, 'base64'),
      serverUrl: row.serverUrl,
      currentToken: () => this.#row?.enrolled?.token ?? token,
      saveToken: (next) => this.#saveToken(next),
    };
  }

  /** A code that must still be redeemed. `publicKey` is SPKI in DER. */
  get pending(): { code: string; serverUrl: string; publicKey: Uint8Array } | null {
    const row = this.#row;
    if (row === null || row.enrolled !== null || row.pendingCode === null) return null;
    const publicKey = createPublicKey(privateKeyOf(row)).export({ format: 'der', type: 'spki' });
    return { code: row.pendingCode, serverUrl: row.serverUrl, publicKey };
  }

  /** Makes the key and keeps the code, durably. Once enrolled, a code is ignored. */
  async prepare(code: string, serverUrl: string): Promise<void> {
    if (this.#row !== null && this.#row.enrolled !== null) return;
    const privateKey =
      this.#row?.privateKey ??
      generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
    await this.#save({ version: 1, privateKey, serverUrl, pendingCode: code, enrolled: null });
  }

  async complete({ gateway, serverPublicKey, token }: EnrolResponse): Promise<void> {
    if (this.#row === null) return;
    await this.#save({ ...this.#row, pendingCode: null, enrolled: { gateway, serverPublicKey, token } });
  }

  async #saveToken(token: string): Promise<void> {
    const row = this.#row;
    if (row === null || row.enrolled === null) return;
    await this.#save({ ...row, enrolled: { ...row.enrolled, token } });
  }

  async #save(row: IdentityRow): Promise<void> {
    await this.#meta.put(KEY, this.#sealer.seal(Buffer.from(JSON.stringify(row)), KEY), 'any');
    this.#row = row;
  }
}

function privateKeyOf({ privateKey }: IdentityRow): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' });
}

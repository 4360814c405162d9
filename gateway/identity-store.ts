// Who this gateway is: its key, the code it may still have to redeem, and what the server gave it. Sealed, in Meta;
// the key is durable before the code is used, so that a crash in between asks again with the same key.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { z } from 'zod';
import type { Meta } from '../stream/ports.ts';
import type { Sealer } from '../runtime/key-provider.ts';
import type { GatewayIdentity } from '../sync/ports.ts';
import type { EnrolResponse } from '../sync/protocol.ts';

/** Its row in the map. */
export const IDENTITY_KEY = 'identity';

const identityRow = z.strictObject({
  version: z.literal(1),
  /** Ed25519, PKCS #8 in DER. */
  privateKey: z.base64(),
  serverUrl: z.string(),
  pendingCode: z.string().nullable(),
  /** The code that enrolled it: given again with every start, it is no new one. */
  redeemedCode: z.string().nullable().default(null),
  enrolled: z
    .strictObject({ gateway: z.string(), serverPublicKey: z.base64(), token: z.string() })
    .nullable(),
});
type IdentityRow = z.output<typeof identityRow>;

export interface Redeemable {
  readonly code: string;
  readonly serverUrl: string;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
}

export class IdentityStore {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  #row: IdentityRow | null;
  #spare: { readonly code: string; readonly serverUrl: string } | null = null;

  private constructor(meta: Meta, sealer: Sealer, row: IdentityRow | null) {
    this.#meta = meta;
    this.#sealer = sealer;
    this.#row = row;
  }

  /** Throws KEY_INVALID when the folder's key file is not the one that sealed the identity. */
  static async open(meta: Meta, sealer: Sealer): Promise<IdentityStore> {
    const entry = await meta.get(IDENTITY_KEY);
    if (entry === null) return new IdentityStore(meta, sealer, null);
    const text = Buffer.from(sealer.open(entry.value, IDENTITY_KEY)).toString('utf8');
    return new IdentityStore(meta, sealer, identityRow.parse(JSON.parse(text)));
  }

  /** For a folder whose key is lost: nobody can open what it sealed any more. */
  static async erase(meta: Meta): Promise<void> {
    await meta.del(IDENTITY_KEY, 'any');
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

  /** A code that must still be redeemed. */
  get pending(): Redeemable | null {
    const row = this.#row;
    if (row === null || row.enrolled !== null || row.pendingCode === null) return null;
    return { code: row.pendingCode, serverUrl: row.serverUrl, publicKey: publicKeyOf(row) };
  }

  /** The code that waits will be redeemed at this server. Nothing changes once enrolled, or without a code. */
  async redirect(serverUrl: string): Promise<void> {
    const row = this.#row;
    if (row === null || row.enrolled !== null || row.serverUrl === serverUrl) return;
    await this.#save({ ...row, serverUrl });
  }

  /** The server refused the code that waits: it is not tried again, not at the next start either. */
  async dropPending(): Promise<void> {
    const row = this.#row;
    if (row === null || row.pendingCode === null) return;
    await this.#save({ ...row, pendingCode: null });
  }

  /**
   * Makes the key and keeps the code, durably. Once enrolled, a code waits for the moment when the server says that it
   * does not know this gateway: it was removed there, or the server lost its data.
   */
  async prepare(code: string, serverUrl: string): Promise<void> {
    if (this.#row !== null && this.#row.enrolled !== null) {
      this.#spare = code === this.#row.redeemedCode ? null : { code, serverUrl };
      return;
    }
    const privateKey =
      this.#row?.privateKey ??
      generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
    await this.#save({
      version: 1,
      privateKey,
      serverUrl,
      pendingCode: code,
      redeemedCode: null,
      enrolled: null,
    });
  }

  async complete({ gateway, serverPublicKey, token }: EnrolResponse): Promise<void> {
    const row = this.#row;
    const redeemed = this.pending ?? this.#spare;
    if (row === null || redeemed === null) return;
    this.#spare = null;
    await this.#save({
      ...row,
      serverUrl: redeemed.serverUrl,
      pendingCode: null,
      redeemedCode: redeemed.code,
      enrolled: { gateway, serverPublicKey, token },
    });
  }

  /** The code that waits. The key stays, and so does the gateway's id. */
  get spare(): Redeemable | null {
    if (this.#row === null || this.#spare === null) return null;
    return { ...this.#spare, publicKey: publicKeyOf(this.#row) };
  }

  /** Key, code and enrolment are gone; the next code makes a new gateway. */
  async forget(): Promise<void> {
    await IdentityStore.erase(this.#meta);
    this.#row = null;
  }

  /** The server refused the code that waits. */
  dropSpare(): void {
    this.#spare = null;
  }

  async #saveToken(token: string): Promise<void> {
    const row = this.#row;
    if (row === null || row.enrolled === null) return;
    await this.#save({ ...row, enrolled: { ...row.enrolled, token } });
  }

  async #save(row: IdentityRow): Promise<void> {
    await this.#meta.put(
      IDENTITY_KEY,
      this.#sealer.seal(Buffer.from(JSON.stringify(row)), IDENTITY_KEY),
      'any',
    );
    this.#row = row;
  }
}

function privateKeyOf({ privateKey }: IdentityRow): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' });
}

function publicKeyOf(row: IdentityRow): Uint8Array {
  return createPublicKey(privateKeyOf(row)).export({ format: 'der', type: 'spki' });
}

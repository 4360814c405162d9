// Temporary credentials (STS API, GetSessionToken). The token carries everything and is sealed by the server, so that
// nothing is stored for it: not even a million sessions take any room, and all of them survive a restart.
import type { Clock } from '../../stream/ports.ts';
import { sealerOf } from '../../runtime/key-provider.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import { newId, newSecret } from './key-ids.ts';
import { parsePolicy } from './policy/parse-policy.ts';
import type { PrincipalSession } from './principal.ts';

const MINUTE_MS = 60_000;
/** STS: 15 minutes to 36 hours, 12 hours if nothing is said. */
export const SESSION_MS_MIN = 15 * MINUTE_MS;
export const SESSION_MS_MAX = 36 * 60 * MINUTE_MS;
export const SESSION_MS_DEFAULT = 12 * 60 * MINUTE_MS;

const CONTEXT = 'session/1';
const OPENED_MAX = 512;
/** A policy of 2,048 characters of three bytes, sealed, as base64. */
const TOKEN_CHARS_MAX = 12_288;

export interface TemporaryCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAtMs: number;
}

export interface Session extends PrincipalSession {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The long-term key that asked for it, without which it is nothing. */
  readonly parentKeyId: string;
  readonly expiresAtMs: number;
}

interface Sealed {
  readonly id: string;
  readonly secret: string;
  readonly parent: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly policy: string | null;
}

export class Sessions {
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #opened = new Map<string, Session>();

  /** `key`: 32 bytes. */
  constructor(key: Uint8Array, clock: Clock) {
    this.#sealer = sealerOf(key);
    this.#clock = clock;
  }

  /** Throws PolicyError when the policy cannot be read. `durationMs` has been checked. */
  mint(parentKeyId: string, durationMs: number, policy: string | null): TemporaryCredentials {
    if (policy !== null) parsePolicy(policy, 'session');
    const issuedAtMs = this.#clock.wallMs();
    const sealed: Sealed = {
      id: newId('ASIA'),
      secret: newSecret(),
      parent: parentKeyId,
      issuedAtMs,
      expiresAtMs: issuedAtMs + durationMs,
      policy,
    };
    const token = this.#sealer.seal(Buffer.from(JSON.stringify(sealed)), CONTEXT);
    return {
      accessKeyId: sealed.id,
      secretAccessKey: sealed.secret,
      sessionToken: Buffer.from(token).toString('base64'),
      expiresAtMs: sealed.expiresAtMs,
    };
  }

  /** Null: this server never gave that token out. It may have expired. */
  open(token: string): Session | null {
    const known = this.#opened.get(token);
    if (known !== undefined) return known;
    if (token.length > TOKEN_CHARS_MAX) return null;
    const session = this.#unseal(token);
    if (session === null) return null;
    if (this.#opened.size >= OPENED_MAX) this.#opened.clear();
    this.#opened.set(token, session);
    return session;
  }

  #unseal(token: string): Session | null {
    let plain: Uint8Array;
    try {
      plain = this.#sealer.open(Buffer.from(token, 'base64'), CONTEXT);
    } catch {
      return null;
    }
    const sealed = JSON.parse(Buffer.from(plain).toString('utf8')) as Sealed;
    return {
      accessKeyId: sealed.id,
      secretAccessKey: sealed.secret,
      parentKeyId: sealed.parent,
      issuedAtMs: sealed.issuedAtMs,
      expiresAtMs: sealed.expiresAtMs,
      policy: sealed.policy === null ? null : parsePolicy(sealed.policy, 'session'),
    };
  }
}

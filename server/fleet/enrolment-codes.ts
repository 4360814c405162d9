// Single-use codes that turn a stranger's public key into a gateway. A code's row names the key that used it, so that
// a retry after a crash of either side is the same decision and not a second one.
import { createHash, createHmac, createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { TributaryError, isTributaryError } from '../../stream/errors.ts';
import type { Clock, Meta } from '../../stream/ports.ts';
import { composeEnrolmentCode, newEnrolmentSecret, parseEnrolmentCode } from '../../sync/enrolment-code.ts';
import type { GatewayRegistry } from './gateway-registry.ts';
import type { GatewayRow } from './gateway-row.ts';

const PREFIX = 'enrolment/';
/** Codes kept, used and unused: minting is refused beyond. */
const CODES_MAX = 10_000;
/** A used code is remembered this long for a gateway that did not hear the answer, an expired one for its owner. */
const REMEMBERED_MS = 7 * 24 * 3_600_000;

const codeRow = z.object({
  name: z.string().nullable(),
  allowedStreams: z.array(z.string()),
  expiresAtMs: z.number(),
  used: z.object({ publicKey: z.string(), gateway: z.string(), name: z.string() }).nullable(),
});
type CodeRow = Readonly<z.output<typeof codeRow>>;

export interface CodeRequest {
  readonly name: string | null;
  readonly allowedStreams: readonly string[];
  readonly ttlMs: number;
}

export interface Applicant {
  readonly code: string;
  /** SPKI, DER, base64. */
  readonly publicKey: string;
  readonly name: string;
}

export class EnrolmentCodes {
  readonly #meta: Meta;
  readonly #clock: Clock;
  readonly #registry: GatewayRegistry;
  readonly #fingerprint: string;
  /** Codes are short: a plain hash of one could be searched for by whoever reads the store. */
  readonly #hashKey: Uint8Array;

  constructor(
    meta: Meta,
    clock: Clock,
    registry: GatewayRegistry,
    options: { readonly fingerprint: string; readonly hashKey: Uint8Array },
  ) {
    this.#meta = meta;
    this.#clock = clock;
    this.#registry = registry;
    this.#fingerprint = options.fingerprint;
    this.#hashKey = options.hashKey;
  }

  /** The only time the code's text is there. */
  async mint({ name, allowedStreams, ttlMs }: CodeRequest): Promise<{ code: string; expiresAtMs: number }> {
    await this.#forgetOld();
    const code = newEnrolmentSecret();
    const expiresAtMs = this.#clock.wallMs() + ttlMs;
    const row: CodeRow = { name, allowedStreams: [...allowedStreams], expiresAtMs, used: null };
    await this.#meta.put(this.#keyOf(code), encode(row), 'absent');
    return { code: composeEnrolmentCode({ code, fingerprint: this.#fingerprint }), expiresAtMs };
  }

  /** Throws ENROLMENT_CODE_INVALID, _USED, _EXPIRED, PROTOCOL_ERROR for a key that is none, BUSY for a full fleet. */
  async redeem(applicant: Applicant): Promise<GatewayRow> {
    checkPublicKey(applicant.publicKey);
    const { code, fingerprint } = parseEnrolmentCode(applicant.code);
    if (fingerprint !== this.#fingerprint) throw invalid('this code was given by another server');
    const { used, allowedStreams } = await this.#use(this.#keyOf(code), applicant);
    return this.#registry.enrol({
      id: used.gateway,
      name: used.name,
      publicKey: used.publicKey,
      allowedStreams,
    });
  }

  /** The codes of a gateway that was removed: a late retry must not bring it back. */
  async forgetGateway(id: string): Promise<void> {
    for await (const { key, value } of this.#meta.list(PREFIX)) {
      if (decode(value).used?.gateway === id) await this.#meta.del(key, 'any');
    }
  }

  async #use(key: string, { publicKey, name }: Applicant): Promise<UsedRow> {
    for (;;) {
      const entry = await this.#meta.get(key);
      if (entry === null) throw invalid('there is no such code here; make a new one: tributary enrol-code');
      const row = decode(entry.value);
      if (row.used !== null && row.used.publicKey !== publicKey)
        throw new TributaryError('ENROLMENT_CODE_USED', 'another gateway has used this code; make a new one');
      if (row.used !== null) return { ...row, used: row.used };
      if (this.#clock.wallMs() >= row.expiresAtMs)
        throw new TributaryError('ENROLMENT_CODE_EXPIRED', 'this code has expired; make a new one');
      if (this.#registry.isFull)
        throw new TributaryError('BUSY', 'this server has as many gateways as limits.gatewaysMax allows');
      const gateway = gatewayIdOf(publicKey);
      const used = { ...row, used: { publicKey, gateway, name: row.name ?? (name || gateway) } };
      try {
        await this.#meta.put(key, encode(used), entry.revision);
        return used;
      } catch (error) {
        // Somebody was faster: what is stored now decides.
        if (!isTributaryError(error, 'META_CONFLICT')) throw error;
      }
    }
  }

  async #forgetOld(): Promise<void> {
    const beforeMs = this.#clock.wallMs() - REMEMBERED_MS;
    let count = 0;
    for await (const { key, value, revision } of this.#meta.list(PREFIX)) {
      if (decode(value).expiresAtMs < beforeMs) await this.#meta.del(key, revision);
      else count += 1;
    }
    if (count >= CODES_MAX) throw new TributaryError('BUSY', `${CODES_MAX} enrolment codes are kept already`);
  }

  #keyOf(code: string): string {
    return PREFIX + createHmac('sha256', this.#hashKey).update(code).digest('hex');
  }
}

type UsedRow = CodeRow & { readonly used: NonNullable<CodeRow['used']> };

/**
 * Of its key: a gateway that is enrolled again with the key it has is the same one, so that its lanes are found and what
 * the server still holds of them is not stored twice.
 */
function gatewayIdOf(publicKey: string): string {
  return `gw-${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex').slice(0, 16)}`;
}

function checkPublicKey(publicKey: string): void {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === 'ed25519') return;
  } catch {
    // Falls through: no key at all.
  }
  throw new TributaryError('PROTOCOL_ERROR', 'publicKey must be an Ed25519 key (SPKI, DER, base64)');
}

function invalid(message: string): TributaryError {
  return new TributaryError('ENROLMENT_CODE_INVALID', message);
}

function encode(row: CodeRow): Uint8Array {
  return Buffer.from(JSON.stringify(row));
}

function decode(value: Uint8Array): CodeRow {
  return codeRow.parse(JSON.parse(Buffer.from(value).toString('utf8')));
}

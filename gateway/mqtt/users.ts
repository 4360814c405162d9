// Who may connect: users with scrypt hashes, or anyone where anonymous clients are allowed.
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { TributaryError } from '../../stream/errors.ts';
import type { MqttUser } from './options.ts';

interface StoredHash {
  readonly cost: { readonly N: number; readonly r: number; readonly p: number };
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export type LoginAnswer = 'ok' | 'wrong' | 'anonymous';

const DEFAULT_COST = { N: 16_384, r: 8, p: 1 };
const HASH_BYTES = 32;
/** scrypt needs 128 × N × r bytes; a hash that wants more is refused at start, not when somebody logs in. */
const SCRYPT_BYTES_MAX = 64 * 1024 * 1024;
const VERIFIED_MAX = 10_000;

export class Users {
  readonly #hashes: ReadonlyMap<string, StoredHash>;
  readonly #isAnonymousAllowed: boolean;
  /** Keyed digests of passwords that were right: a storm of reconnects costs no scrypt. */
  readonly #verified = new Map<string, Buffer>();
  readonly #key = randomBytes(32);
  /** One derivation at a time: each takes tens of milliseconds of a core and 16 MiB. */
  #deriving: Promise<unknown> = Promise.resolve();

  /** Throws CONFIG_INVALID for a hash that cannot be read. */
  constructor(users: readonly MqttUser[], isAnonymousAllowed: boolean) {
    this.#hashes = new Map(users.map((user) => [user.name, parseHash(user)]));
    this.#isAnonymousAllowed = isAnonymousAllowed;
  }

  async login(name: string | undefined, password: Uint8Array | undefined): Promise<LoginAnswer> {
    if (name === undefined && password === undefined) return this.#isAnonymousAllowed ? 'ok' : 'anonymous';
    // Without users a name is not a claim anyone could check.
    if (this.#hashes.size === 0) return this.#isAnonymousAllowed ? 'ok' : 'wrong';
    const stored = this.#hashes.get(name ?? '');
    if (name === undefined || password === undefined || stored === undefined) return 'wrong';
    const digest = createHmac('sha256', this.#key).update(password).digest();
    const known = this.#verified.get(name);
    if (known !== undefined && timingSafeEqual(known, digest)) return 'ok';
    const turn = this.#deriving.then(() => derive(password, stored));
    this.#deriving = turn.catch(() => undefined);
    if (!timingSafeEqual(await turn, stored.hash)) return 'wrong';
    if (this.#verified.size >= VERIFIED_MAX) this.#verified.clear();
    this.#verified.set(name, digest);
    return 'ok';
  }
}

/** The text for `passwordHash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(Buffer.from(password), {
    cost: DEFAULT_COST,
    salt,
    hash: Buffer.alloc(HASH_BYTES),
  });
  const { N, r, p } = DEFAULT_COST;
  return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$');
}

function parseHash({ name, passwordHash }: MqttUser): StoredHash {
  const [kind, N, r, p, salt, hash, extra] = passwordHash.split('$');
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  const isCost = Object.values(cost).every((value) => Number.isInteger(value) && value > 0);
  const isPower = isCost && cost.N > 1 && Number.isInteger(Math.log2(cost.N));
  const bytes = Buffer.from(hash ?? '', 'base64');
  const isWhole = kind === 'scrypt' && salt !== undefined && extra === undefined && bytes.length >= 16;
  if (!isWhole || !isPower || 128 * cost.N * cost.r > SCRYPT_BYTES_MAX || cost.p > 16) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `the password hash of MQTT user ${name} is not scrypt$N$r$p$salt$hash with salt and hash in base64, N a power of two and at most ${SCRYPT_BYTES_MAX} bytes of memory`,
    );
  }
  return { cost, salt: Buffer.from(salt, 'base64'), hash: bytes };
}

function derive(password: Uint8Array, { cost, salt, hash }: StoredHash): Promise<Buffer> {
  const options = { ...cost, maxmem: 2 * SCRYPT_BYTES_MAX };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hash.length, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

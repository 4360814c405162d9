// The access keys of this server, sealed in Meta. The pair in the environment is installed again at each start;
// without one the first start makes a pair and leaves it in a file that only the owner can read.
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TributaryError } from '../../stream/errors.ts';
import type { Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const PREFIX = 'access-key/';
const FIRST_KEY_FILE = 'first-access-key';
/** The alphabet and bounds of the AWS clients' own checks. */
const ACCESS_KEY_ID = /^\w{2,128}$/;

export class AccessKeys {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  readonly #secrets = new Map<string, string>();

  private constructor(meta: Meta, sealer: Sealer) {
    this.#meta = meta;
    this.#sealer = sealer;
  }

  static async open(meta: Meta, sealer: Sealer): Promise<AccessKeys> {
    const keys = new AccessKeys(meta, sealer);
    for await (const { key, value } of meta.list(PREFIX)) {
      keys.#secrets.set(key.slice(PREFIX.length), Buffer.from(sealer.open(value, key)).toString('utf8'));
    }
    return keys;
  }

  get isEmpty(): boolean {
    return this.#secrets.size === 0;
  }

  secretOf(accessKeyId: string): string | undefined {
    return this.#secrets.get(accessKeyId);
  }

  async install({ accessKeyId, secretAccessKey }: AccessKey): Promise<void> {
    if (!ACCESS_KEY_ID.test(accessKeyId) || secretAccessKey.length < 1) {
      throw new TributaryError(
        'CONFIG_INVALID',
        'TRIBUTARY_ACCESS_KEY_ID must be 2..128 letters, digits or _ and its secret must not be empty',
      );
    }
    if (this.#secrets.get(accessKeyId) === secretAccessKey) return;
    const key = PREFIX + accessKeyId;
    await this.#meta.put(key, this.#sealer.seal(Buffer.from(secretAccessKey), key), 'any');
    this.#secrets.set(accessKeyId, secretAccessKey);
  }

  /** In no order. */
  ids(): string[] {
    return [...this.#secrets.keys()];
  }

  /** False: there is no such key. */
  async remove(accessKeyId: string): Promise<boolean> {
    if (!this.#secrets.has(accessKeyId)) return false;
    await this.#meta.del(PREFIX + accessKeyId, 'any');
    return this.#secrets.delete(accessKeyId);
  }

  /** Makes the first pair and returns the path of the file that holds it. */
  async installFirst(dataFolder: string): Promise<string> {
    const pair = {
      accessKeyId: `TRB${randomBytes(9).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64url'),
    };
    const path = join(dataFolder, FIRST_KEY_FILE);
    // The file first: a key that nobody knows would lock its owner out.
    if (existsSync(path))
      throw new TributaryError(
        'KEY_INVALID',
        `${path} is there but its key is not in the store; remove the file and start again`,
      );
    writePrivate(path, asEnvironment(pair));
    await this.install(pair);
    return path;
  }
}

/** For a shell to read: the names that AWS clients know, and those of the `tributary` command. */
function asEnvironment({ accessKeyId, secretAccessKey }: AccessKey): string {
  return ['AWS', 'TRIBUTARY']
    .map((who) => `${who}_ACCESS_KEY_ID=${accessKeyId}\n${who}_SECRET_ACCESS_KEY=${secretAccessKey}\n`)
    .join('');
}

function writePrivate(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
}

// What a user may not open is named with the way out of it, before anything is opened. The rights are a table: who runs the
// tests may have them all. One test asks the system, without a superuser's.
import { chmodSync, constants } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkAccess } from '../../storage/lmdb/store-access.ts';
import type { StoreUse } from '../../storage/lmdb/store-access.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { MAIN, run, startGateway, stopAll } from '../processes.ts';

afterEach(stopAll);

const PATH = '/data/gateway.mdb';

interface Rights {
  readonly [path: string]: string;
}

/** `rights`: what may be done, or the name of an error; what is not named is not there. */
function accessOf(rights: Rights): (path: string, mode: number) => void {
  return (path, mode) => {
    const right = rights[path];
    const fail = (code: string): never => {
      throw Object.assign(new Error(code), { code });
    };
    if (right === undefined) return fail('ENOENT');
    if (mode === constants.F_OK) return;
    if (right.startsWith('E')) return fail(right);
    if ((mode & constants.R_OK) !== 0 && !right.includes('r')) return fail('EACCES');
    if ((mode & constants.W_OK) !== 0 && !right.includes('w')) return fail('EACCES');
  };
}

function refused(use: StoreUse, rights: Rights): string | null {
  try {
    checkAccess(PATH, use, accessOf(rights));
    return null;
  } catch (error) {
    if (!isTributaryError(error, 'CONFIG_INVALID')) throw error;
    return error.message;
  }
}

describe('a store', () => {
  const all = { '/data': 'rw', [PATH]: 'rw', [`${PATH}-lock`]: 'rw' };

  it('is opened by who may read and write it', () => {
    expect(refused('write', all)).toBeNull();
    expect(refused('write', { ...all, '/data': 'r' })).toBeNull();
    expect(refused('write', { '/data': 'rw' })).toBeNull();
    expect(refused('read', all)).toBeNull();
    expect(refused('read', { ...all, [PATH]: 'r' })).toBeNull();
    expect(refused('read', { [PATH]: 'r', '/data': 'r' })).toBeNull();
    expect(refused('read', { [PATH]: 'r', [`${PATH}-lock`]: 'EROFS' })).toBeNull();
  });

  it.each([
    ['the store', 'write', { ...all, [PATH]: 'r' }, `read and write ${PATH} (EACCES)`],
    ['the store to read', 'read', { ...all, [PATH]: '' }, `may not read ${PATH} (EACCES)`],
    ['its lock', 'write', { ...all, [`${PATH}-lock`]: 'r' }, `chmod u+rw ${PATH}-lock)`],
    ['its lock to read', 'read', { ...all, [`${PATH}-lock`]: 'r' }, `read and write ${PATH}-lock (EACCES)`],
    ['its folder', 'write', { '/data': 'r', [PATH]: 'rw' }, 'read and write /data (EACCES)'],
    ['a file system', 'write', { ...all, [PATH]: 'EROFS' }, 'mount its file system for writing'],
  ] as const)('is refused to who may not use %s', (_what, use, rights, text) => {
    expect(refused(use, rights)).toContain(text);
  });

  it('is not opened without the right to, and not called damaged', { timeout: 60_000 }, async () => {
    const gateway = await startGateway();
    await gateway.kill('SIGTERM');
    const { data } = gateway;
    const lock = join(data, 'gateway.mdb-lock');
    // As another user's look at a store that was restored without it leaves it.
    chmodSync(lock, 0o400);
    // A superuser must give up passing over rights.
    const plain = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [];
    const start = ['gateway', '--data', data, '--mqtt-port', '0', '--status-port', '0'];
    for (const args of [start, ['log', 'verify', data, '--json'], ['keys', 'list', data]]) {
      const { code, stdout, stderr } = await run('env', [...plain, process.execPath, MAIN, ...args]);
      expect(`${stdout}${stderr}`).toContain(`${lock} (EACCES)`);
      expect(`${stdout}${stderr}`).not.toContain('damage');
      expect(code).toBe(2);
    }
  });
});

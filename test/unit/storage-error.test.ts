// What kept a store from being opened is called damage only when it is: damage is salvaged, and a sound store must not be
// because the machine had no memory.
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isDamage, openingError } from '../../storage/lmdb/storage-error.ts';
import { verifyInChild } from '../../storage/verify/verify-process.ts';
import { stopAll, temporaryFolder } from '../processes.ts';

afterEach(stopAll);

const PATH = '/data/gateway.mdb';
const errorOf = (message: string, code?: number | string): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

describe('an error at the opening of a store', () => {
  it.each([
    ['no memory', errorOf('Cannot allocate memory', 12), 'STORAGE_FAILED'],
    ['no right', errorOf('Permission denied', 13), 'STORAGE_FAILED'],
    ['no right, by name', errorOf('permission denied', 'EACCES'), 'STORAGE_FAILED'],
    ['no room', errorOf('No space left on device', 28), 'STORAGE_FULL'],
  ])('says what the system said: %s', (_what, cause, code) => {
    const error = openingError(PATH, cause);
    expect(error).toMatchObject({ code, cause });
    expect(error.message).not.toContain('damaged');
    if (code === 'STORAGE_FAILED') expect(error.message).toContain(cause.message);
    expect(isDamage(error)).toBe(false);
  });

  it.each([
    ['of the library', errorOf('MDB_CORRUPTED', -30_796)],
    ['of a row that is too short', errorOf('Attempt to access memory outside', 'ERR_OUT_OF_RANGE')],
    ['of a row that does not parse', new SyntaxError('Unexpected token')],
  ])('is damage: %s', (_what, cause) => {
    const error = openingError(PATH, cause);
    expect(error.message).toContain('is damaged');
    expect(isDamage(error)).toBe(true);
  });
});

it('knows nothing of a file that could not be looked at', { timeout: 30_000 }, async () => {
  const { report, isCertain } = await verifyInChild(join(temporaryFolder(), 'gone.mdb'), 'whole');
  expect(isCertain).toBe(false);
  expect(report.damage[0]?.detail).toContain('No such file or directory');
});

// Goal: users, keys, policies and sessions are durable, sealed, bounded, and end when they should. Method: the store in
// memory, requests really signed, a clock that is set.
import { beforeEach, describe, expect, it } from 'vitest';
import { sealerOf } from '../../runtime/key-provider.ts';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import type { Credentials } from '../../runtime/sigv4/sign.ts';
import { AccessKeys } from '../../server/access/access-keys.ts';
import { authenticator } from '../../server/access/authenticator.ts';
import type { Caller } from '../../server/access/caller.ts';
import { mintSession } from '../../server/access/mint-session.ts';
import { rootOf } from '../../server/access/principal.ts';
import { Sessions } from '../../server/access/sessions.ts';
import { Users } from '../../server/access/users.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';

const MINUTE_MS = 60_000;
const ACCOUNT = '000000000000';
const sealer = sealerOf(Buffer.alloc(32, 1));
let nowMs = 0;
const clock = { wallMs: () => nowMs, monotonicUs: () => 0n };
const ALLOW = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kinesis:*","Resource":"*"}}';

let store: MemoryStore;
let users: Users;
const open = (): Promise<Users> => Users.open(store.meta, sealer, clock, { accountId: ACCOUNT, usersMax: 3 });
beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  store = await openMemoryStore({ clock });
  users = await open();
});

describe('users', () => {
  it('come back after a restart with their keys and policies', async () => {
    await users.create('ada');
    const key = await users.createKey('ada');
    await users.putPolicy('ada', 'write', ALLOW);
    const again = await open();
    expect(again.get('ada')).toEqual(users.get('ada'));
    expect(again.byKey(key.accessKeyId)?.secretAccessKey).toBe(key.secretAccessKey);
    expect(again.principalOf('ada').policies).toHaveLength(1);
    expect(key.accessKeyId).toMatch(/^AKIA[A-Z2-7]{16}$/);
    expect(key.secretAccessKey).toMatch(/^[\w-]{40}$/);
  });

  it('are not readable in the store', async () => {
    await users.create('ada');
    const { secretAccessKey, accessKeyId } = await users.createKey('ada');
    for await (const { value } of store.meta.list('')) {
      expect(Buffer.from(value).toString('latin1')).not.toContain(secretAccessKey);
      expect(Buffer.from(value).toString('latin1')).not.toContain(accessKeyId);
    }
    const other = sealerOf(Buffer.alloc(32, 2));
    await expect(Users.open(store.meta, other, clock, { accountId: ACCOUNT })).rejects.toMatchObject({
      code: 'KEY_INVALID',
    });
  });

  it('are bounded in number, names, keys and policies', async () => {
    for (const name of ['', 'a b', 'a/b', 'x'.repeat(65)])
      await expect(users.create(name)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await users.create('a+=,.@-_1');
    await expect(users.create('a+=,.@-_1')).rejects.toMatchObject({ code: 'ALREADY_EXISTS', status: 409 });
    await users.create('b');
    await users.create('c');
    await expect(users.create('d')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await users.createKey('b');
    await users.createKey('b');
    await expect(users.createKey('b')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    for (let n = 0; n < 10; n += 1) await users.putPolicy('b', `p${n}`, ALLOW);
    await users.putPolicy('b', 'p0', ALLOW);
    await expect(users.putPolicy('b', 'p10', ALLOW)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(users.putPolicy('b', 'p 1', ALLOW)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('that are not there, and what they do not have, are named', async () => {
    await users.create('ada');
    const failures = [
      () => users.createKey('bob'),
      () => users.remove('bob'),
      () => users.deleteKey('ada', 'AKIA'),
      () => users.createKey('ada', 'AKIA'),
      () => users.setKeyActive('ada', 'AKIA', true),
      () => users.deletePolicy('ada', 'p'),
      () => users.deletePolicy('ada', 'constructor'),
    ];
    for (const failure of failures) await expect(failure()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(() => users.get('bob')).toThrow('there is no user bob');
  });

  it('keep their policies when a new one cannot be read', async () => {
    await users.create('ada');
    await users.putPolicy('ada', 'p', ALLOW);
    await expect(users.putPolicy('ada', 'p', '{}')).rejects.toThrow('Statement: must be one statement');
    expect(users.get('ada').policies).toEqual({ p: ALLOW });
    await users.deletePolicy('ada', 'p');
    expect(users.principalOf('ada').policies).toEqual([]);
  });

  it('stay as they were when the store refuses', async () => {
    await users.create('ada');
    const key = await users.createKey('ada');
    store.failNext('ENOSPC');
    await expect(users.deleteKey('ada', key.accessKeyId)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(users.byKey(key.accessKeyId)).toBeDefined();
    expect((await open()).byKey(key.accessKeyId)).toBeDefined();
  });

  it('made again under the same name are other users', async () => {
    const { id } = await users.create('ada');
    await users.createKey('ada');
    await users.remove('ada');
    expect((await users.create('ada')).id).not.toBe(id);
    expect(users.get('ada').keys).toEqual([]);
    expect((await open()).list()).toEqual(users.list());
  });
});

describe('requests', () => {
  const root = rootOf(ACCOUNT);
  const origin = { sourceAddress: '127.0.0.1', isSecure: false, requestId: 'r' };
  let keys: AccessKeys;
  let sessions: Sessions;
  beforeEach(async () => {
    keys = await AccessKeys.open(store.meta, sealer);
    await keys.install({ accessKeyId: 'ROOT', secretAccessKey: 'root' });
    sessions = new Sessions(Buffer.alloc(32, 3), clock);
  });

  const send = async (credentials: Credentials): Promise<Caller> => {
    const request = { method: 'POST', url: '/', headers: { host: 'h' } };
    const options = { region: 'r', service: 'kinesis', now: nowMs };
    const headers = signRequest({ ...request, body: 'x' }, credentials, options);
    const verify = authenticator({ keys, users, sessions, root, clock });
    return verify({ ...request, headers }, Buffer.from('x'), 'kinesis', origin);
  };
  const unknown = { type: 'UnrecognizedClientException' };

  it('are those of the root or of a user, by their key', async () => {
    expect(await send({ accessKeyId: 'ROOT', secretAccessKey: 'root' })).toEqual({
      ...origin,
      accessKeyId: 'ROOT',
      principal: root,
    });
    await users.create('ada');
    const key = await users.createKey('ada');
    expect((await send(key)).principal).toMatchObject({
      arn: `arn:aws:iam::${ACCOUNT}:user/ada`,
      userName: 'ada',
    });
  });

  it('with a key that is inactive, replaced or deleted, or of a user who is gone, are refused', async () => {
    await users.create('ada');
    const first = await users.createKey('ada');
    await users.setKeyActive('ada', first.accessKeyId, false);
    await expect(send(first)).rejects.toMatchObject(unknown);
    await users.setKeyActive('ada', first.accessKeyId, true);
    await send(first);
    const second = await users.createKey('ada', first.accessKeyId);
    await expect(send(first)).rejects.toMatchObject(unknown);
    await send(second);
    const third = await users.createKey('ada');
    await users.deleteKey('ada', second.accessKeyId);
    await expect(send(second)).rejects.toMatchObject(unknown);
    await users.remove('ada');
    await expect(send(third)).rejects.toMatchObject(unknown);
  });

  it('with a session are those of who asked for it, until it expires', async () => {
    await users.create('ada');
    const key = await users.createKey('ada');
    const caller = await send(key);
    const session = mintSession(sessions, caller, 15 * MINUTE_MS, ALLOW);
    expect(session.accessKeyId).toMatch(/^ASIA/);
    const byUser = await send(session);
    expect(byUser.principal).toMatchObject({ userName: 'ada', session: { issuedAtMs: nowMs } });
    expect(() => mintSession(sessions, byUser, 15 * MINUTE_MS, null)).toThrow('long-term access key');
    expect(() => mintSession(sessions, caller, 15 * MINUTE_MS, '{}')).toThrow('Statement');
    nowMs += 15 * MINUTE_MS - 1;
    await send(session);
    nowMs += 1;
    await expect(send(session)).rejects.toMatchObject({
      type: 'ExpiredTokenException',
      message: 'The security token included in the request is expired',
    });
  });

  it('with a session survive a restart, but not the key that asked for it', async () => {
    await users.create('ada');
    const key = await users.createKey('ada');
    const session = mintSession(sessions, await send(key), 60 * MINUTE_MS, null);
    users = await open();
    sessions = new Sessions(Buffer.alloc(32, 3), clock);
    await send(session);
    await users.setKeyActive('ada', key.accessKeyId, false);
    await expect(send(session)).rejects.toMatchObject(unknown);
    sessions = new Sessions(Buffer.alloc(32, 4), clock);
    await expect(send(session)).rejects.toMatchObject(unknown);
  });

  it('with a token that is changed, missing, or of another key are refused', async () => {
    await users.create('ada');
    const key = await users.createKey('ada');
    const caller = await send(key);
    const [one, two] = [1, 2].map(() => mintSession(sessions, caller, 60 * MINUTE_MS, null));
    if (one === undefined || two === undefined) throw new Error('there are two');
    const { sessionToken, ...without } = one;
    for (const credentials of [
      { ...one, sessionToken: `AAAA${sessionToken.slice(4)}` },
      { ...one, sessionToken: 'x' },
      { ...one, sessionToken: 'x'.repeat(12_289) },
      { ...one, sessionToken: two.sessionToken },
      { ...key, sessionToken },
      without,
    ])
      await expect(send(credentials)).rejects.toMatchObject(unknown);
  });
});

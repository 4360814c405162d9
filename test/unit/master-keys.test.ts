// Goal: a master key wraps and unwraps, and whoever cannot give it says precisely why and what to do. Method: real files,
// and a small KMS that checks every signature.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keySettingOf } from '../../runtime/encryption-config.ts';
import { openMasterKey } from '../../runtime/master-key.ts';
import type { KeySetting } from '../../runtime/master-key.ts';
import { loadGatewayConfig } from '../../gateway/config.ts';
import { loadServerConfig } from '../../server/config.ts';
import { KMS_CREDENTIALS, LocalKms } from '../kms.ts';

let folder = '';
let kms: LocalKms | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-keys-'));
});
afterEach(async () => {
  await kms?.close();
  kms = null;
  rmSync(folder, { recursive: true, force: true });
});

const places = (env: Record<string, string> = {}) => ({ keyFile: join(folder, 'server.key'), env });
const code = (value: string) => expect.objectContaining({ code: value });
const KMS_ENV = {
  AWS_ACCESS_KEY_ID: KMS_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: KMS_CREDENTIALS.secretAccessKey,
};

async function roundTrip(setting: KeySetting, env: Record<string, string>): Promise<void> {
  const master = openMasterKey(setting, places(env));
  const { plain, wrapped } = await master.generate('keys/1');
  expect(plain).toHaveLength(32);
  expect(Buffer.from(wrapped).includes(Buffer.from(plain))).toBe(false);
  const again = openMasterKey(setting, places(env));
  expect(again.fingerprint).toBe(master.fingerprint);
  expect(Buffer.from(await again.unwrap(wrapped, 'keys/1'))).toEqual(Buffer.from(plain));
  await expect(again.unwrap(wrapped, 'keys/2')).rejects.toThrow(code('KEY_INVALID'));
  const rewrapped = await again.wrap(plain, 'keys/2');
  expect(Buffer.from(await master.unwrap(rewrapped, 'keys/2'))).toEqual(Buffer.from(plain));
  await expect(master.unwrap(randomBytes(61), 'keys/1')).rejects.toThrow(code('KEY_INVALID'));
}

describe('a key file', () => {
  it('wraps keys, under their names only', async () => {
    const path = join(folder, 'master.key');
    writeFileSync(path, randomBytes(32), { mode: 0o600 });
    await roundTrip({ provider: 'file', path }, {});
  });

  it('that is missing is named', () => {
    expect(() => openMasterKey({ provider: 'file', path: join(folder, 'gone') }, places())).toThrow(
      /no key file .*gone; restore it/,
    );
  });
});

describe('a systemd credential', () => {
  const setting: KeySetting = { provider: 'systemd-credential', name: 'tributary' };
  const key = randomBytes(32);

  it.each([
    ['as it is', key],
    ['in hex', Buffer.from(`${key.toString('hex')}\n`)],
    ['in base64', Buffer.from(` ${key.toString('base64')}\n`)],
  ])('is read %s', async (_name, content) => {
    writeFileSync(join(folder, 'tributary'), content);
    await roundTrip(setting, { CREDENTIALS_DIRECTORY: folder });
    const { fingerprint } = openMasterKey(setting, places({ CREDENTIALS_DIRECTORY: folder }));
    writeFileSync(join(folder, 'tributary'), key);
    expect(openMasterKey(setting, places({ CREDENTIALS_DIRECTORY: folder })).fingerprint).toBe(fingerprint);
  });

  it('says what is missing', () => {
    const env = { CREDENTIALS_DIRECTORY: folder };
    expect(() => openMasterKey(setting, places())).toThrow(
      /CREDENTIALS_DIRECTORY is not set.*LoadCredentialEncrypted=/,
    );
    expect(() => openMasterKey(setting, places(env))).toThrow(
      /\(ENOENT\); add LoadCredentialEncrypted=tributary/,
    );
    for (const content of ['', 'short', randomBytes(31), randomBytes(33), 'x'.repeat(64)]) {
      writeFileSync(join(folder, 'tributary'), content);
      expect(() => openMasterKey(setting, places(env))).toThrow(/is no key: it must be 32 bytes/);
    }
  });
});

describe('a key of AWS KMS', () => {
  const setting = (endpoint: string): KeySetting => ({
    provider: 'aws-kms',
    keyId: 'alias/tributary',
    region: 'eu-central-1',
    endpoint,
  });

  async function open(): Promise<LocalKms> {
    kms = await LocalKms.open('alias/tributary');
    return kms;
  }

  it('wraps keys by signed calls', async () => {
    const { endpoint, calls } = await open();
    await roundTrip(setting(endpoint), KMS_ENV);
    expect(new Set(calls)).toEqual(
      new Set(['GenerateDataKey', 'Decrypt', 'Encrypt'].map((name) => `TrentService.${name}`)),
    );
  });

  it('is asked again when it is busy or the connection is cut, a bounded number of times', async () => {
    const { endpoint, troubles, calls } = await open();
    const master = openMasterKey(setting(endpoint), places(KMS_ENV));
    troubles.push('ThrottlingException', 'KMSInternalException', 'cut');
    await master.generate('keys/1');
    expect(calls).toHaveLength(1);
    troubles.push('cut', 'cut', 'cut', 'cut');
    await expect(master.generate('keys/1')).rejects.toThrow(code('BUSY'));
    expect(troubles).toHaveLength(0);
    expect(calls).toHaveLength(1);
  });

  it('that refuses is asked once, and says why', async () => {
    const { endpoint, troubles, calls } = await open();
    const master = openMasterKey(setting(endpoint), places(KMS_ENV));
    troubles.push('AccessDeniedException');
    await expect(master.generate('keys/1')).rejects.toThrow(
      /GenerateDataKey was refused: AccessDeniedException/,
    );
    troubles.push('nonsense');
    await expect(master.generate('keys/1')).rejects.toThrow(/is not one of KMS/);
    expect(calls).toHaveLength(1);
    const gone: KeySetting = { ...setting(endpoint), keyId: 'alias/gone' } as KeySetting;
    await expect(openMasterKey(gone, places(KMS_ENV)).generate('k')).rejects.toThrow(/NotFoundException/);
    const stranger = { ...KMS_ENV, AWS_SECRET_ACCESS_KEY: 'wrong' };
    await expect(openMasterKey(setting(endpoint), places(stranger)).generate('k')).rejects.toThrow(
      /InvalidSignatureException/,
    );
  });

  it('needs credentials, and a server that is there', async () => {
    const { endpoint } = await open();
    expect(() => openMasterKey(setting(endpoint), places())).toThrow(/set AWS_ACCESS_KEY_ID/);
    await kms?.close();
    kms = null;
    await expect(openMasterKey(setting(endpoint), places(KMS_ENV)).generate('k')).rejects.toThrow(
      /cannot be reached: .*ECONNREFUSED/,
    );
  });
});

describe('the settings', () => {
  const file = (settings: object) => {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify({ dataFolder: folder, ...settings }));
    return { config: path };
  };
  const kmsSettings = { provider: 'aws-kms', keyId: 'alias/a', region: 'eu-central-1' };

  it('are off unless asked for', () => {
    expect(keySettingOf(loadGatewayConfig({ data: folder }, {}).encryption)).toBeNull();
    expect(keySettingOf(loadServerConfig({ data: folder }, {}).encryption)).toBeNull();
  });

  it('name the key of each provider', () => {
    const settingOf = (encryption: object) =>
      keySettingOf(loadServerConfig(file({ encryption }), {}).encryption);
    expect(settingOf({ provider: 'file' })).toEqual({ provider: 'file' });
    expect(settingOf({ provider: 'file', keyFile: '/k' })).toEqual({ provider: 'file', path: '/k' });
    expect(settingOf({ provider: 'systemd-credential' })).toEqual({
      provider: 'systemd-credential',
      name: 'tributary',
    });
    expect(settingOf(kmsSettings)).toEqual(kmsSettings);
  });

  it('refuse AWS KMS at a gateway, with the reason', () => {
    expect(() => loadGatewayConfig(file({ encryption: kmsSettings }), {})).toThrow(
      /encryption.*aws-kms is for the server alone, because a gateway must start without a network/,
    );
    expect(() => loadServerConfig(file({ encryption: { provider: 'vault' } }), {})).toThrow(
      /must have provider off/,
    );
  });
});

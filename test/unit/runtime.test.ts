// Goal: what every program leans on says precisely what is wrong and loses nothing. Method: real files, real keys.
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../../runtime/config.ts';
import { openDataFolder } from '../../runtime/data-folder.ts';
import { DisposeStack } from '../../runtime/dispose-stack.ts';
import { openFileKey } from '../../runtime/key-provider.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { MetricsRegistry } from '../../runtime/metrics.ts';

const folder = mkdtempSync(join(tmpdir(), 'tributary-runtime-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const text = (value: string) => new TextEncoder().encode(value);

describe('configuration', () => {
  const schema = z.strictObject({
    mqtt: z
      .strictObject({
        port: z.number().int().max(65_535).default(1883),
        host: z.string().default('127.0.0.1'),
      })
      .prefault({}),
    logBytesMax: z.number().default(1),
  });
  const write = (name: string, yaml: string) => {
    writeFileSync(join(folder, name), yaml);
    return join(folder, name);
  };

  it('takes flags over environment over file over defaults, and freezes', () => {
    const path = write('a.yaml', 'mqtt: { port: 1, host: file }\n');
    const config = loadConfig({
      schema,
      path,
      environment: { T_PORT: 'mqtt.port' },
      env: { T_PORT: '2' },
      overrides: { logBytesMax: 3 },
    });
    expect(config).toEqual({ mqtt: { port: 2, host: 'file' }, logBytesMax: 3 });
    expect(Object.isFrozen(config.mqtt)).toBe(true);
  });

  it('lists every problem with its path', () => {
    const path = write('b.yaml', 'mqtt: { port: 70000, hots: x }\nlogBytesMax: lots\n');
    expect(() => loadConfig({ schema, path })).toThrow(/3 problem.*mqtt\.port.*mqtt.*hots.*logBytesMax/s);
  });

  it('says where the YAML is broken', () => {
    expect(() => loadConfig({ schema, path: write('c.yaml', 'mqtt: [1,\n') })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    expect(() => loadConfig({ schema, path: join(folder, 'none.yaml') })).toThrow(
      /cannot read the configuration file/,
    );
  });
});

describe('file key', () => {
  const path = join(folder, 'key');

  it('is made once with mode 0600 and opens what it sealed', () => {
    const sealed = openFileKey(path).seal(text('secret'), 'access-key/1');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(Buffer.from(openFileKey(path).open(sealed, 'access-key/1')).toString()).toBe('secret');
    expect(Buffer.from(sealed).includes('secret')).toBe(false);
  });

  it('refuses another key, another context and changed bytes', () => {
    const sealed = openFileKey(path).seal(text('secret'), 'a');
    const changed = Uint8Array.from(sealed);
    changed[20] = (changed[20] ?? 0) ^ 1;
    const refused = expect.objectContaining({ code: 'KEY_INVALID' });
    expect(() => openFileKey(join(folder, 'other')).open(sealed, 'a')).toThrow(refused);
    expect(() => openFileKey(path).open(sealed, 'b')).toThrow(refused);
    expect(() => openFileKey(path).open(changed, 'a')).toThrow(refused);
    expect(() => openFileKey(path).open(new Uint8Array(), 'a')).toThrow(refused);
  });

  it('makes none beside the store that its key should open', () => {
    const storeFile = join(folder, 'gateway.mdb');
    const sealed = { storeFile, lastResort: 'start anew' };
    openFileKey(join(folder, 'early.key'), sealed);
    writeFileSync(storeFile, 'x');
    openFileKey(join(folder, 'early.key'), sealed);
    expect(() => openFileKey(join(folder, 'gateway.key'), sealed)).toThrow(
      `gateway.key is missing from ${folder} (it opens the identity and secrets in gateway.mdb); restore it from its backup, or start anew`,
    );
    expect(existsSync(join(folder, 'gateway.key'))).toBe(false);
  });

  it('refuses a key file of another size or that others may read, and leaves it alone', () => {
    const short = join(folder, 'short');
    writeFileSync(short, 'x', { mode: 0o600 });
    expect(() => openFileKey(short)).toThrow(/1 bytes instead of 32/);
    chmodSync(short, 0o644);
    expect(() => openFileKey(short)).toThrow(/chmod 600/);
    expect(readFileSync(short, 'utf8')).toBe('x');
  });
});

describe('data folder', () => {
  it('is made with all above it, for its owner alone, and may be there already', () => {
    const path = join(folder, 'a/b');
    expect(openDataFolder(path, 'server')).toEqual({
      path,
      storeFile: join(path, 'server.mdb'),
      keyFile: join(path, 'server.key'),
    });
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(openDataFolder(path, 'gateway').keyFile).toBe(join(path, 'gateway.key'));
  });

  it('is refused with the reason and what to do', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const dangling = join(folder, 'dangling');
    symlinkSync(join(folder, 'nowhere/x'), dangling);
    const rows = [
      [file, `${file} is not a folder`],
      [join(file, 'x/y'), `${file} is not a folder`],
      ['/dev/null/x', '/dev/null is not a folder'],
      [dangling, 'leads nowhere'],
      [join(folder, 'x'.repeat(300)), 'the name is too long'],
    ];
    if (process.platform === 'linux') rows.push(['/proc/nope/more', 'nothing can be made in /proc (ENOENT)']);
    for (const [path = '', text = ''] of rows) {
      const message = expect.stringMatching(/cannot be used: .*; choose another --data/) as unknown;
      const refused = expect.objectContaining({ code: 'CONFIG_INVALID', message });
      expect(() => openDataFolder(path, 'server'), path).toThrow(refused);
      expect(() => openDataFolder(path, 'server'), path).toThrow(text);
    }
  });
});

describe('dispose stack', () => {
  it('closes last first, once, and collects every error', async () => {
    const closed: string[] = [];
    const stack = new DisposeStack();
    stack.defer(() => void closed.push('first'));
    stack.defer(() => Promise.reject(new RangeError('a')));
    stack.use({ close: () => void closed.push('last') });
    stack.defer(() => Promise.reject(new RangeError('b')));
    await expect(stack.close()).rejects.toThrow('2 parts failed to close');
    await expect(stack.close()).rejects.toThrow('2 parts failed to close');
    expect(closed).toEqual(['last', 'first']);
  });
});

describe('log and metrics', () => {
  it('writes one JSON line per event at or above its level', () => {
    const lines: string[] = [];
    const log = openLog('a', { level: 'info', write: (line) => void lines.push(line), now: () => 0 });
    log.debug('hidden', () => ({ never: 1 }));
    log.child('b').warn('shown', { count: 2n, error: new RangeError('why') });
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
      {
        time: '1970-01-01T00:00:00.000Z',
        level: 'warn',
        module: 'b',
        event: 'shown',
        count: '2',
        error: { message: 'why' },
      },
    ]);
  });

  it('renders the Prometheus text', () => {
    const metrics = new MetricsRegistry();
    metrics.counter('dropped_total', 'Dropped records').add(2, { stream: 'a"b' });
    metrics.observe('pending_bytes', 'Waiting', () => 7);
    expect(metrics.render()).toBe(
      '# HELP dropped_total Dropped records\n# TYPE dropped_total counter\ndropped_total{stream="a\\"b"} 2\n' +
        '# HELP pending_bytes Waiting\n# TYPE pending_bytes gauge\npending_bytes 7\n',
    );
  });
});

// Goal: the rules whose breach is a bug. Method: the compiler on a copy with one wrong import, and the tree itself.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../stream/errors.ts';
import { LAYERS, ROOT, sourcesOf } from './tree.ts';

const sources = sourcesOf(LAYERS).map(({ path }) => path);

describe('import rights', () => {
  let copy = '';
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'tributary-tidy-'));
    for (const name of [...LAYERS, 'tsconfig.base.json'])
      cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  const compile = (layer: string, text: string): string => {
    const file = join(copy, layer, 'wrong.ts');
    writeFileSync(file, text);
    try {
      execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-b', layer], { cwd: copy, encoding: 'utf8' });
      return 'compiled';
    } catch (error) {
      return String((error as { stdout?: unknown }).stdout);
    } finally {
      rmSync(file);
    }
  };

  it('lets a right import through', () => {
    expect(compile('runtime', "import { assert } from '../stream/errors.ts';\nassert(true, '');\n")).toBe(
      'compiled',
    );
  });

  it.each([
    [
      'stream',
      "import { openLog } from '../runtime/log-writer.ts';\nopenLog('a', { level: 'info' });\n",
      /TS6307|TS6059/,
    ],
    ['stream', "import { readFileSync } from 'node:fs';\nreadFileSync('a');\n", /TS2591|TS2307/],
    ['stream', 'setTimeout(() => undefined, 1);\n', /TS2304|TS2591/],
    ['devices', "console.log('a');\n", /TS2584|TS2304/],
    [
      'devices',
      "import { systemClock } from '../runtime/clock.ts';\nsystemClock.wallMs();\n",
      /TS6307|TS6059/,
    ],
  ])('refuses a wrong one in %s', (layer, text, code) => {
    expect(compile(layer, text)).toMatch(code);
  });
});

describe('the tree', () => {
  it('names no file for what it is not about', () => {
    expect(sources.filter((file) => /(utils?|helpers?|common|manager|misc)\.ts$/.test(file))).toEqual([]);
  });

  it('opens every file with what it owns', () => {
    expect(sources.filter((file) => !/^(\/\/|#!|\/\*)/.test(readFileSync(join(ROOT, file), 'utf8')))).toEqual(
      [],
    );
  });

  it('has every error code once, in capitals', () => {
    expect(Object.keys(ERROR_CODES).filter((code) => !/^[A-Z]+(_[A-Z]+)*$/.test(code))).toEqual([]);
  });

  it('lists every error code in docs/ERRORS.md', () => {
    const page = readFileSync(join(ROOT, 'docs/ERRORS.md'), 'utf8');
    expect(Object.keys(ERROR_CODES).filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });
});

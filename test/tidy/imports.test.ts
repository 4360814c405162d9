// Goal: what the compiler cannot guard. Programs are imported by the command and by tests only; nothing is exported that
// nobody uses; every package is imported by somebody and declared.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LAYERS, ROOT, sourcesOf } from './tree.ts';

const RIGHTS: Readonly<Record<(typeof LAYERS)[number], readonly string[]>> = {
  stream: [],
  runtime: ['stream'],
  storage: ['stream', 'runtime'],
  devices: ['stream'],
  sync: ['stream', 'runtime'],
  gateway: ['stream', 'runtime', 'storage', 'devices', 'sync'],
  server: ['stream', 'runtime', 'storage', 'sync'],
  cli: ['gateway', 'server', 'runtime', 'stream'],
};

const sources = sourcesOf(LAYERS);
const IMPORT = /^(?:import|export)\s[^;=]*?\bfrom '([^'\n]+)';|\bimport\('([^'\n]+)'\)/gm;

function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? '');
}

describe('imports', () => {
  it.each(LAYERS)('of %s go where it has a right to', (layer) => {
    const wrong = sources
      .filter(({ path }) => path.startsWith(`${layer}/`))
      .flatMap(({ path, text }) =>
        importsOf(text)
          .filter((target) => target.startsWith('..'))
          .map((target) => join(path, '..', target))
          .filter((target) => ![layer, ...RIGHTS[layer]].includes(target.split('/')[0] ?? ''))
          .map((target) => `${path} → ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  it('of packages are declared', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const packages = sources
      .flatMap(({ text }) => importsOf(text))
      .filter((target) => !target.startsWith('.') && !target.startsWith('node:'))
      .map((target) => target.split('/')[0] ?? '');
    const used = [...new Set(packages)];
    const declared = Object.keys(manifest.dependencies);
    expect(used.filter((name) => !declared.includes(name))).toEqual([]);
    expect(declared.filter((name) => !used.includes(name))).toEqual([]);
  });
});

describe('exports', () => {
  const readers = [...sources, ...sourcesOf(['test', 'bench'])];

  it('are used by another file', () => {
    const dead = sources.flatMap(({ path, text }) => {
      const names = [...text.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)];
      return names
        .map((match) => match[1] ?? '')
        .filter((name) => {
          const word = new RegExp(`\\b${name}\\b`);
          return !readers.some((reader) => reader.path !== path && word.test(reader.text));
        })
        .map((name) => `${path}: ${name}`);
    });
    expect(dead).toEqual([]);
  });
});

describe('the map of CONTRIBUTING.md', () => {
  it('names files that are there', () => {
    const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
    const known = new Set(readers().map(({ path }) => path));
    const named = [...page.matchAll(/`((?:[\w-]+\/)+[\w.-]+\.ts)`/g)].map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((path) => !known.has(path))).toEqual([]);
  });

  function readers(): ReturnType<typeof sourcesOf> {
    return sourcesOf([...LAYERS, 'test', 'bench']);
  }
});

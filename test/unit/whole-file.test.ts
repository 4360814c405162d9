// Goal: a file that must never be seen half made is whole under its name, and the first one that has the name keeps it.
// Method: real files; what a power cut leaves of them is in test/fault/power-cut.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { giveName, nameToMake, removeUnfinished } from '../../runtime/whole-file.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-whole-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('gives a finished file its name, and leaves no other', () => {
  const path = join(folder, 'file');
  const made = nameToMake(path);
  writeFileSync(made, 'whole');
  expect(readdirSync(folder)).not.toContain('file');
  expect(giveName(made, path)).toBe(true);
  expect(readdirSync(folder)).toEqual(['file']);
  expect(readFileSync(path, 'utf8')).toBe('whole');
});

it('leaves a name alone that another file has', () => {
  const path = join(folder, 'file');
  writeFileSync(path, 'first');
  const made = nameToMake(path);
  writeFileSync(made, 'second');
  expect(giveName(made, path)).toBe(false);
  expect(readdirSync(folder)).toEqual(['file']);
  expect(readFileSync(path, 'utf8')).toBe('first');
});

it('removes what was never finished, and nothing else', () => {
  const path = join(folder, 'file');
  for (const name of [
    path,
    nameToMake(path),
    `${nameToMake(path)}-lock`,
    nameToMake(join(folder, 'other')),
  ]) {
    writeFileSync(name, '');
  }
  removeUnfinished(path);
  expect(readdirSync(folder)).toEqual(['file', expect.stringMatching(/^other\.new-/)]);
});

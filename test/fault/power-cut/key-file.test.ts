// Goal: a power cut while the key is made leaves a whole key or none, and never takes one that has sealed something.
// Method: strace records the making of one; behind every event all that may be left is tried, and a key is opened there.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFileKey } from '../../../runtime/key-provider.ts';
import { run } from '../../processes.ts';
import { randomOf } from '../../seeded-random.ts';
import { needs } from '../../tools.ts';
import { Disk } from './disk.ts';
import { CONTEXT, SECRET } from './key-maker.ts';
import { listenTo, readRecording } from './recording.ts';
import { STRACE } from './trace.ts';

const MAKER = join(import.meta.dirname, '../../../dist/test/fault/power-cut/key-maker.js');
const KEY_FILE = 'gateway.key';
/** Nothing, names without bytes, bytes without names, everything, and any part. */
const LEFT: readonly (readonly [names: number, bytes: number])[] = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
  [0.5, 0.5],
  [0.5, 0.5],
];

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-key-file-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('is there whole or not at all', async (context) => {
  needs(context, 'strace');
  const [data, trace, said] = ['data', 'trace', 'said'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(data);
  const program = [process.execPath, MAKER, join(data, KEY_FILE), said];
  expect(await run('strace', [...STRACE, '-o', trace, ...program])).toMatchObject({ code: 0, stderr: '' });
  const disk = new Disk();
  const random = randomOf(1);
  let sealed: string | null = null;
  let images = 0;
  for (const event of await readRecording(trace, data, listenTo(said))) {
    disk.play(event);
    if (event.kind === 'say') sealed = event.text;
    for (const [nameLikelihood, likelihood] of LEFT) {
      const files = disk.image({ nameLikelihood, likelihood, pieceBytes: Infinity, random });
      const image = join(folder, `${images++}`);
      mkdirSync(image);
      for (const [name, bytes] of files) writeFileSync(join(image, name), bytes, { mode: 0o600 });
      const key = openFileKey(join(image, KEY_FILE));
      if (sealed !== null) {
        expect(Buffer.from(key.open(Buffer.from(sealed, 'hex'), CONTEXT)).toString()).toBe(SECRET);
      }
    }
  }
  expect(sealed).not.toBeNull();
  expect(images).toBeGreaterThan(LEFT.length * 8);
});

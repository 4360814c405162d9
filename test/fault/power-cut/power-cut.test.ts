// Goal: an acknowledged record survives a power cut at any moment, with everything of its commit, and the store opens by
// itself. Method: strace records what a real run writes and when it syncs; a model of the disk keeps what is certain and
// any part of the rest; each image is opened by the real store and compared with what was acknowledged by then. The same
// must fail when syncing is switched off. A failure keeps its image and prints the command that checks it again; new
// images of new recordings come by POWER_CUT_SEED=<seed> POWER_CUT_IMAGES=<count> npx vitest run --project fault power-cut
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needs } from '../../tools.ts';
import type { Cheats } from './disk.ts';
import { ImageCheckers } from './image-checkers.ts';
import { imagesOf } from './images.ts';
import type { Image } from './images.ts';
import { listenTo, readRecording } from './recording.ts';
import type { DiskEvent } from './recording.ts';
import { STRACE } from './trace.ts';

const DIST = join(import.meta.dirname, '../../../dist/test/fault/power-cut');
const isNightly = process.env['NIGHTLY'] === 'true';
const seed = Number(process.env['POWER_CUT_SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
/** Of all recordings together. */
const IMAGES = Number(process.env['POWER_CUT_IMAGES'] ?? (isNightly ? 6_000 : 300));
const IMAGES_PER_RECORDING = 400;
const SLOW_IMAGES = 16;
/** Of each run that cheats, at most: so many bad ones prove that they are seen. */
const CHEATED_IMAGES = 200;
const BAD_IMAGES = 3;
const FAILURES_SHOWN = 5;
const CHECKERS = Math.max(2, Math.min(8, availableParallelism()));

const WRITERS = [
  { name: 'a gateway’s log (layout perShard)', program: 'lanes-writer.js', rounds: 24 },
  { name: 'a server’s log (layout shared)', program: 'shards-writer.js', rounds: 36 },
] as const;
type Writer = (typeof WRITERS)[number];

interface Failure {
  readonly image: Image;
  readonly problems: readonly string[];
}

let folder = '';
let checkers = new ImageCheckers(0);
let isKept = false;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-power-cut-'));
  checkers = new ImageCheckers(CHECKERS);
});
afterAll(() => {
  checkers.close();
  if (!isKept) rmSync(folder, { recursive: true, force: true });
});

describe.each(WRITERS)('a power cut during $name', (writer) => {
  it(
    'leaves everything that was acknowledged, whole and in order',
    { timeout: 60_000 + IMAGES * 1_000 },
    async (context) => {
      needs(context, 'strace');
      const failures: Failure[] = [];
      for (const [index, count] of sharesOf(IMAGES / WRITERS.length).entries()) {
        const name = `${writer.program}-${index}`;
        const events = await record(writer, name, seed + index);
        failures.push(...(await failuresOf(events, count, name, seed + index)));
      }
      if (failures.length > 0) isKept = true;
      expect(failures.map(report).slice(0, FAILURES_SHOWN).join('\n\n')).toBe('');
    },
  );

  it('loses nothing on a slow disk either', async (context) => {
    needs(context, 'strace');
    const name = `${writer.program}-slow`;
    // Each sync answers 15 ms after it is done, as cards do.
    const events = await record(writer, name, seed, ['-e', 'inject=fdatasync:delay_exit=15000']);
    const failures = await failuresOf(events, SLOW_IMAGES, name, seed);
    if (failures.length > 0) isKept = true;
    expect(failures.map(report).join('\n\n')).toBe('');
  });

  it.for<{ name: string; inject: string[]; cheats: Cheats }>([
    {
      name: 'no sync reaches the disk',
      inject: ['-e', 'inject=fdatasync,fsync:retval=0'],
      cheats: { ignoresSyncedWrites: true, writesBackAfter: 200 },
    },
    { name: 'pages are not synced', inject: [], cheats: { ignoresSyncs: true, writesBackAfter: 40 } },
    {
      name: 'root pages are not synced',
      inject: [],
      cheats: { ignoresSyncedWrites: true, writesBackAfter: 40 },
    },
  ])('is seen to lose data when $name', async ({ name, inject, cheats }, context) => {
    needs(context, 'strace');
    const run = `${writer.program}-${name.replaceAll(' ', '-')}`;
    const events = await record(writer, run, seed, inject);
    const failures = await failuresOf(events, CHEATED_IMAGES, run, seed, cheats, BAD_IMAGES);
    rmSync(join(folder, run), { recursive: true });
    expect(failures.length).toBeGreaterThanOrEqual(BAD_IMAGES);
  });
});

/** One recording for so many images each. */
function sharesOf(count: number): number[] {
  const recordings = Math.ceil(count / IMAGES_PER_RECORDING);
  return Array.from({ length: recordings }, () => Math.ceil(count / recordings));
}

/** A real run, with everything it wrote. */
async function record(
  writer: Writer,
  name: string,
  runSeed: number,
  inject: readonly string[] = [],
): Promise<DiskEvent[]> {
  const run = join(folder, `${name}-run`);
  const data = join(run, 'data');
  const [trace, said] = [join(run, 'trace'), join(run, 'said')];
  mkdirSync(data, { recursive: true });
  const program = [
    process.execPath,
    join(DIST, writer.program),
    data,
    said,
    `${runSeed}`,
    `${writer.rounds}`,
  ];
  await finished('strace', [...STRACE, ...inject, '-o', trace, ...program]);
  const events = await readRecording(trace, data, listenTo(said));
  rmSync(run, { recursive: true });
  return events;
}

/** The bad ones, and not many more than are enough; the folders of the others are removed. */
async function failuresOf(
  events: readonly DiskEvent[],
  count: number,
  name: string,
  imageSeed: number,
  cheats: Cheats = {},
  enough = Infinity,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  const images = join(folder, name);
  mkdirSync(images, { recursive: true });
  const pending = imagesOf(events, count, imageSeed, images, cheats);
  const work = async (): Promise<void> => {
    for (const image of pending) {
      if (failures.length >= enough) return;
      const problems = await checkers.check(image.folder);
      if (problems.length > 0) failures.push({ image, problems });
      else rmSync(image.folder, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: CHECKERS }, work));
  return failures;
}

function report({ image, problems }: Failure): string {
  const again = `node ${join(DIST, 'image-check.js')} ${image.folder}`;
  return [`seed ${seed}, ${image.moment}; check it again: ${again}`, ...problems].join('\n  ');
}

function finished(command: string, parameters: readonly string[]): Promise<void> {
  const child = spawn(command, parameters, { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4_000);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${parameters.join(' ')} ended with ${code ?? signal}: ${words}`));
    });
  });
}

// Images of a recorded run's disk, one for each chosen moment, in folders of their own. The same seed and the same
// recording give the same images.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomOf } from '../../seeded-random.ts';
import { Disk } from './disk.ts';
import type { Cheats, Choice } from './disk.ts';
import type { Expectation } from './expectation.ts';
import { EXPECTATION_FILE } from './image-names.ts';
import type { DiskEvent } from './recording.ts';
import type { Said } from './said.ts';

export interface Image {
  readonly folder: string;
  readonly expectation: Expectation;
  /** Which event of the recording it is behind, and what of the uncertain it has. */
  readonly moment: string;
}

/** A page of the store, and what a disk writes at once at least. */
const [PAGE_BYTES, SECTOR_BYTES] = [4_096, 512];
type Part = readonly [pieceBytes: number, likelihoods: readonly [number, ...number[]]];
const PARTS: readonly [Part, ...Part[]] = [
  [Infinity, [0, 1]],
  [Infinity, [0.1, 0.5, 0.9]],
  [PAGE_BYTES, [0.1, 0.5, 0.9]],
  [SECTOR_BYTES, [0.1, 0.5, 0.9]],
];
/** While the store is made everything happens once: a fifth of the images is from there. */
const START_EVENTS = 50;
const START_SHARE = 0.2;
const LOCK_BYTES = 8_272;
/** Lines that may have been put together, in part, before the cut, and are said behind it: one of each caller. */
const LINES_UNDER_WAY = 16;

/** `count` images of the recording, in the order of time, made as they are asked for. */
export function* imagesOf(
  events: readonly DiskEvent[],
  count: number,
  seed: number,
  folder: string,
  cheats: Cheats = {},
): Generator<Image> {
  const random = randomOf(seed);
  const disk = new Disk(cheats);
  const moments = momentsOf(events, count, random);
  const said = saidIn(events);
  let [before, at, made]: [Said | null, number, number] = [null, 0, 0];
  for (const [index, event] of events.entries()) {
    disk.play(event);
    if (event.kind === 'say') {
      before = said[at] ?? null;
      at += 1;
    }
    for (; moments[made] === index; made += 1) {
      const behind = said[Math.min(at + LINES_UNDER_WAY, said.length - 1)];
      if (behind === undefined) return;
      const choice = choose(random);
      const image = { folder: join(folder, `${made}`), expectation: { before, behind } };
      write(image, disk.image(choice), random);
      const { pieceBytes, likelihood, nameLikelihood } = choice;
      const what = `pieces of ${pieceBytes} bytes, likelihood ${likelihood}, of names ${nameLikelihood}`;
      yield { ...image, moment: `event ${index} (${event.kind}), ${what}` };
    }
  }
}

/** Behind which events, ascending; always before the last thing that is said. */
function momentsOf(events: readonly DiskEvent[], count: number, random: () => number): number[] {
  const end = events.findLastIndex(({ kind }) => kind === 'say');
  return Array.from({ length: count }, (_, index) =>
    Math.floor(random() * (index < count * START_SHARE ? Math.min(START_EVENTS, end) : end)),
  ).toSorted((a, b) => a - b);
}

function saidIn(events: readonly DiskEvent[]): Said[] {
  return events.flatMap((event) => (event.kind === 'say' ? [JSON.parse(event.text) as Said] : []));
}

/** Nothing, everything, or any part in whole writes, pages or sectors; and the same of names. */
function choose(random: () => number): Choice {
  const nameLikelihood = oneOf([0, 0.5, 1], random);
  const [pieceBytes, likelihoods] = oneOf(PARTS, random);
  return { nameLikelihood, pieceBytes, likelihood: oneOf(likelihoods, random), random };
}

function oneOf<T>(list: readonly [T, ...T[]], random: () => number): T {
  return list[Math.floor(random() * list.length)] ?? list[0];
}

function write(
  { folder, expectation }: Omit<Image, 'moment'>,
  files: ReadonlyMap<string, Buffer>,
  random: () => number,
): void {
  mkdirSync(folder);
  for (const [name, bytes] of files) {
    // A key that others may read is refused.
    writeFileSync(join(folder, name), isLock(name) ? lock(random) : bytes, { mode: 0o600 });
  }
  writeFileSync(join(folder, EXPECTATION_FILE), JSON.stringify(expectation));
}

/** Written through memory, of which no trace tells: it may hold anything. */
function isLock(name: string): boolean {
  return name.endsWith('-lock');
}

function lock(random: () => number): Buffer {
  const bytes = Buffer.alloc(LOCK_BYTES * Math.floor(random() * 2));
  return random() < 0.5 ? bytes : (bytes.map(() => Math.floor(random() * 256)) as Buffer);
}

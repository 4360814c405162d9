// Goal: whatever is done to a store file, what its whole pages hold is kept, nothing is numbered twice, and what is lost is
// counted, encrypted or not: the key is not there. Method: stores of known blocks, damaged by a seeded hand in every way a
// card or an operator can.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { salvageStore } from '../../storage/salvage/salvage.ts';
import { isSealed, openBlock, sealBlock } from '../../storage/seal/sealed-block.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { decodeBlock } from '../../stream/block.ts';
import { START_POSITION, positionParts } from '../../stream/position.ts';
import type { ShardRef, Store } from '../../stream/ports.ts';
import { randomOf } from '../seeded-random.ts';
import { ManualClock, bytes, hex } from '../contract/engines.ts';
import { blockOf, numberedRecords, record } from '../blocks.ts';

const KINDS: readonly { readonly layout: LmdbLayout; readonly blocks: 'plain' | 'sealed' }[] = [
  { layout: 'shared', blocks: 'plain' },
  { layout: 'shared', blocks: 'sealed' },
  { layout: 'perShard', blocks: 'plain' },
  { layout: 'perShard', blocks: 'sealed' },
];
const KEY = { id: 1, key: randomBytes(32) };
const PAGE = 4096;
const SEEDS = process.env['NIGHTLY'] === 'true' ? 300 : Number(process.env['SEEDS'] ?? 3);
const FIRST_SEED = Number(process.env['SEED'] ?? 1);
const REFS: readonly ShardRef[] = ['a', 'b', 'c'].map((streamId) => ({ streamId, shardId: '0' }));
const FOREVER = 1e9;

interface Written {
  readonly ref: ShardRef;
  readonly position: bigint;
  readonly ordinal: bigint;
  readonly count: number;
  /** As stored. */
  readonly block: Uint8Array;
}

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-salvage-'));
  path = join(folder, 'log.mdb');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const clock = new ManualClock();
const openStore = (layout: LmdbLayout, file = path) => openLmdbStore({ path: file, clock, layout });

/** Three shards of small and large blocks, one of them trimmed, each block with a row of the map. */
async function fill(
  layout: LmdbLayout,
  seed: number,
  isSealing: boolean,
): Promise<{ written: Written[]; live: Written[] }> {
  const random = randomOf(seed);
  const store = await openStore(layout);
  const written: Written[] = [];
  const ordinals = new Map<string, bigint>();
  for (const ref of REFS)
    await store.log.createShard(ref, { retentionMs: Infinity, streamName: ref.streamId });
  for (let index = 0; index < 90; index += 1) {
    const ref = REFS[Math.floor(random() * REFS.length)];
    if (ref === undefined) continue;
    const count = 1 + Math.floor(random() * 4);
    const ordinal = ordinals.get(ref.streamId) ?? 1n;
    ordinals.set(ref.streamId, ordinal + BigInt(count));
    const size = random() < 0.5 ? 20 : Math.floor(random() * 12_000);
    const text = `${ref.streamId} ${index} ${'x'.repeat(size)}`;
    const [, ...rest] = numberedRecords(count);
    const plain = blockOf([record('k', text), ...rest], { firstOrdinal: ordinal });
    const block = isSealing ? sealBlock(plain, count, ref, KEY, nodeDigest) : plain;
    const { first } = await store.log.append(ref, {
      block,
      recordCount: count,
      note: bytes(`note ${index}`),
      lane: {
        lane: `gw/${ref.streamId}`,
        first: ordinal,
        last: ordinal + BigInt(count) - 1n,
        tag: bytes('t'),
      },
      with: [{ key: `key/${index % 30}`, value: bytes(`value ${index}`) }],
    });
    written.push({ ref, position: first, ordinal, count, block });
  }
  const trimmed = written.filter(({ ref }) => ref === REFS[0]).slice(5)[0];
  if (trimmed !== undefined) await store.log.trim(trimmed.ref, trimmed.position as never);
  await store.meta.put('last', bytes('one'), 'any');
  await store.close();
  return {
    written,
    live: written.filter((one) => one.ref !== trimmed?.ref || one.position >= trimmed.position),
  };
}

type Damage = (file: Buffer, random: () => number) => Buffer;
const pageOf = (file: Buffer, random: () => number): number =>
  PAGE * (2 + Math.floor(random() * (file.length / PAGE - 2)));

const DAMAGES: Readonly<Record<string, Damage>> = {
  'a page of zeros': (file, random) => file.fill(0, ...span(pageOf(file, random))),
  'five pages of zeros': (file, random) => {
    for (let round = 0; round < 5; round += 1) file.fill(0, ...span(pageOf(file, random)));
    return file;
  },
  'a page of noise': (file, random) => {
    const at = pageOf(file, random);
    for (let byte = at; byte < at + PAGE; byte += 1) file[byte] = Math.floor(random() * 256);
    return file;
  },
  'a page torn at a sector': (file, random) => {
    const at = pageOf(file, random);
    return file.fill(0, at + 512 * (1 + Math.floor(random() * 7)), at + PAGE);
  },
  'a page in the place of another': (file, random) => {
    const from = pageOf(file, random);
    file.copy(file, pageOf(file, random), from, from + PAGE);
    return file;
  },
  'twenty flipped bits': (file, random) => {
    for (let round = 0; round < 20; round += 1) {
      const at = 2 * PAGE + Math.floor(random() * (file.length - 2 * PAGE));
      file[at] = (file[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    }
    return file;
  },
  'no end': (file, random) => file.subarray(0, Math.floor(file.length * (0.5 + random() / 2))),
  'no second half': (file) => file.subarray(0, Math.floor(file.length / 2)),
  'a hole in the middle': (file, random) => {
    const at = pageOf(file, random);
    return file.fill(0, at, Math.min(file.length, at + 8 * PAGE));
  },
  'no first root page': (file) => file.fill(0, 0, PAGE),
  'no second root page': (file) => file.fill(0, PAGE, 2 * PAGE),
  'no root pages': (file) => file.fill(0, 0, 2 * PAGE),
};

function span(at: number): [number, number] {
  return [at, at + PAGE];
}

/** Whether the bytes of a block are as they were in every place where the file had them. */
function isWhole(block: Uint8Array, sound: Buffer, damaged: Buffer): boolean {
  const isSame = (page: number): boolean =>
    sound.subarray(...span(page)).equals(damaged.subarray(...span(page)));
  let at = sound.indexOf(block);
  expect(at).toBeGreaterThan(0);
  for (; at >= 0; at = sound.indexOf(block, at + 1)) {
    for (let page = at - (at % PAGE); page < at + block.length; page += PAGE) if (!isSame(page)) return false;
  }
  return true;
}

/** By stream: hex of every block that can be read, with the ordinals and the position it has. */
async function read(
  store: Store,
): Promise<Map<string, { block: string; position: bigint; ordinal: bigint }[]>> {
  const found = new Map<string, { block: string; position: bigint; ordinal: bigint }[]>();
  for (const ref of REFS) {
    const page = await store.log
      .readBlocks(ref, START_POSITION, { blocks: FOREVER, bytes: FOREVER })
      .catch(() => null);
    const blocks = (page?.blocks ?? []).map((stored) => {
      const { header } = decodeBlock(opened(stored.block, ref), nodeDigest);
      expect(BigInt(stored.cumulativeRecords - stored.recordCount) + 1n).toBe(header.firstOrdinal);
      return { block: hex(stored.block), position: stored.first, ordinal: header.firstOrdinal };
    });
    found.set(ref.streamId, blocks);
  }
  return found;
}

function opened(block: Uint8Array, ref: ShardRef): Uint8Array {
  return isSealed(block) ? openBlock(block, ref, () => KEY.key, nodeDigest) : block;
}

describe.each(KINDS)('a damaged store (layout $layout, blocks $blocks)', ({ layout, blocks: kind }) => {
  it.each(Object.entries(DAMAGES))(
    'with %s keeps what is whole',
    { timeout: 300_000 },
    async (_name, damage) => {
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
        const say = `SEED=${seed}`;
        rmSync(path, { force: true });
        rmSync(`${path}-lock`, { force: true });
        const { written: ever, live: written } = await fill(layout, seed, kind === 'sealed');
        const sound = readFileSync(path);
        const damaged = damage(Buffer.from(sound), randomOf(seed * 7 + 1));
        writeFileSync(path, damaged);
        const target = join(folder, 'salvaged.mdb');
        clock.ms += 1_000;
        const report = await salvageStore({
          damagedPath: path,
          targetPath: target,
          layout,
          wallMs: clock.ms,
        });
        expect(readFileSync(path).equals(damaged), say).toBe(true);
        const verified = await verifyFolder(target);
        expect(verified.damage, say).toEqual([]);
        expect(verified, say).toMatchObject({ records: report.records, lostRecords: report.lostRecords });
        const store = await openStore(layout, target);
        const kept = await read(store);
        const isShardLost = report.notes.some((note) =>
          note.includes('the row that says which shard it is is missing'),
        );
        for (const one of written) {
          const there = kept.get(one.ref.streamId)?.find(({ block }) => block === hex(one.block));
          if (there === undefined)
            expect(
              isShardLost || !isWhole(one.block, sound, damaged),
              `${say} ${one.ref.streamId} ${one.ordinal}`,
            ).toBe(true);
          else expect([there.position, there.ordinal], say).toEqual([one.position, one.ordinal]);
        }
        const isOldRow = report.notes.some((note) => note.includes('what was trimmed since may be back'));
        const known = new Set((isOldRow ? ever : written).map(({ block }) => hex(block)));
        for (const [streamId, blocks] of kept) {
          expect(
            blocks.filter(({ block }) => !known.has(block)),
            say,
          ).toEqual([]);
          const ref = { streamId, shardId: '0' };
          const all = (isOldRow ? ever : written).filter((one) => one.ref.streamId === streamId);
          const bounds = await store.log.bounds(ref).catch(() => null);
          if (bounds === null) continue;
          const records = blocks.reduce(
            (sum, { block }) => sum + (all.find((one) => hex(one.block) === block)?.count ?? 0),
            0,
          );
          expect(bounds.records, say).toBe(records);
          // Every record up to the newest kept one is there or counted.
          expect(bounds.lostRecords + bounds.records, say).toBe(bounds.totalRecords - bounds.recordsBefore);
          const isStartKnown = !isOldRow && !report.notes.some((note) => note.includes('nobody knows'));
          if (isStartKnown) expect(bounds.recordsBefore, say).toBe(Number(all[0]?.ordinal ?? 1n) - 1);
          // A lane ends with its newest kept block: what is behind it is asked for again.
          const lane = await store.log.lane(ref, `gw/${streamId}`);
          const newest = all.findLast((one) => blocks.some(({ block }) => block === hex(one.block)));
          if (lane !== null && newest !== undefined)
            expect(lane.last, say).toBe(newest.ordinal + BigInt(newest.count) - 1n);
          const { first } = await store.log.append(ref, {
            block: blockOf(numberedRecords(1)),
            recordCount: 1,
          });
          expect(first, say).toBeGreaterThan(all.at(-1)?.position ?? 0n);
          expect(positionParts(first).epoch, say).toBeGreaterThan(1n);
          for (const { ordinal, position } of blocks) {
            const at = await store.log.seekOrdinal(ref, ordinal);
            expect(at, say).toBe(position);
          }
        }
        await store.close();
      }
    },
  );
});

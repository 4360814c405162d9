// Goal: when the store of either side is damaged, every record that is left anywhere is at the centre once, and what is
// lost is told. Method: pages of a stopped side's file overwritten by a seeded hand; both sides start as programs do.
// A failure prints its seed; run it again with SEED=<seed> npx vitest run --project simulation link-salvaged
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { newestBlocks } from '../../storage/pages/newest-blocks.ts';
import { randomOf } from '../seeded-random.ts';
import type { GatewaySide } from './link-world.ts';
import { openWorld } from './link-world.ts';

const STREAM = 'telemetry';
const ROUNDS = process.env['NIGHTLY'] === 'true' ? 60 : 4;
const PAGE_BYTES = 4096;
/** Texts are found in the files by what they say. */
const PLAIN = { compression: 'none' } as const;
/** Nothing is found in the files by what it says, and blocks have pages of their own. */
const SEALED = { compression: 'none', isSealed: true } as const;
const ALL_BLOCKS = { recordsMax: 1e9, blocksMax: 1e9, metaPrefix: 'none/' };
const seed = Number(process.env['SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-salvaged-'));
  folders.push(folder);
  return folder;
}

/** Blocks of 3 records, some small, some with pages of their own; from 1,000 bytes a record on all of them have. */
async function send(gateway: GatewaySide, name: string, blocks: number, bytesMin = 0): Promise<string[]> {
  const random = randomOf(seed);
  const all: string[] = [];
  for (let block = 0; block < blocks; block += 1) {
    const filling = '.'.repeat(bytesMin + Math.floor(random() * 3_000));
    const texts = [0, 1, 2].map((index) => `${name} ${block} ${index} ${filling}`);
    await gateway.append(STREAM, 'normal', name, texts);
    all.push(...texts);
  }
  return all;
}

/** Zeros over the pages that hold any of the texts. */
function zeroPagesOf(path: string, texts: readonly string[]): void {
  const file = readFileSync(path);
  for (const text of texts) {
    for (let at = file.indexOf(text); at >= 0; at = file.indexOf(text, at + 1)) {
      const page = at - (at % PAGE_BYTES);
      file.fill(0, page, page + PAGE_BYTES);
    }
  }
  writeFileSync(path, file);
}

/** Zeros over the first page of blocks of a stream, which are told by their place. Answers how many records those have. */
function zeroBlocks(path: string, ...places: number[]): number[] {
  const file = readFileSync(path);
  const { shards } = newestBlocks(path, ALL_BLOCKS);
  const blocks = shards.find(({ stream }) => stream === STREAM)?.blocks ?? [];
  const counts = places.map((place) => {
    const found = blocks.at(place);
    if (found === undefined) throw new Error(`there is no block ${place} of ${blocks.length}`);
    const at = file.indexOf(found.block);
    const page = at - (at % PAGE_BYTES);
    file.fill(0, page, page + PAGE_BYTES);
    return found.recordCount;
  });
  writeFileSync(path, file);
  return counts;
}

async function lostAt(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const [, lost] = /^tributary_store_lost_records (\d+)/m.exec(metrics) ?? [];
  return Number(lost);
}

function quarantinedBeside(path: string): string[] {
  return readdirSync(dirname(path)).filter(
    (name) => name.includes('.mdb.damaged-') && !name.endsWith('-lock'),
  );
}

const missingOf = (sent: readonly string[], there: readonly string[]): string[] => {
  const known = new Set(there);
  return sent.filter((text) => !known.has(text));
};

describe(`a damaged store is salvaged (SEED=${seed})`, () => {
  it('at the gateway: what is left arrives once, what is lost is a gap', { timeout: 120_000 }, async () => {
    const { server, gateway, relay, delivered, close } = await openWorld(newFolder(), PLAIN);
    const before = await send(gateway, 'before', 20);
    await delivered();
    relay.cut();
    const waiting = await send(gateway, 'waiting', 30);
    await gateway.stop();
    zeroPagesOf(gateway.storeFile, waiting.slice(30, 33));
    await gateway.start(relay.url);
    expect(quarantinedBeside(gateway.storeFile)).toHaveLength(1);
    const { lostRecords } = gateway;
    expect(lostRecords).toBeGreaterThan(0);
    relay.mend();
    const after = await send(gateway, 'after', 10);
    await delivered();
    const there = await server.readAll(STREAM);
    expect(new Set(there).size).toBe(there.length);
    expect(missingOf([...before, ...after], there)).toEqual([]);
    // The others it lost lay on the same page and had arrived.
    expect(missingOf(waiting, there).length).toBeLessThanOrEqual(lostRecords);
    expect(missingOf(waiting, there)).not.toEqual([]);
    expect(await server.events()).toContain('gap');
    await close();
  });

  it(
    'at the gateway, its newest records too: ordinals are not used again',
    { timeout: 120_000 },
    async () => {
      const { server, gateway, relay, delivered, close } = await openWorld(newFolder(), PLAIN);
      const before = await send(gateway, 'before', 30);
      await delivered();
      await gateway.stop();
      // The server has them all; the gateway has lost those at the end, and does not know how many.
      zeroPagesOf(gateway.storeFile, before.slice(-12));
      await gateway.start(relay.url);
      const after = await send(gateway, 'after', 20);
      await delivered();
      const there = await server.readAll(STREAM);
      expect(missingOf([...before, ...after], there)).toEqual([]);
      expect(new Set(there).size).toBe(there.length);
      await close();
    },
  );

  it('at the server: the newest come again, once', { timeout: 120_000 }, async () => {
    const { server, gateway, delivered, close } = await openWorld(newFolder(), PLAIN);
    // Each round arrives as blocks of its own, none of which shares a page with a newer one.
    const before: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      before.push(...(await send(gateway, `before ${round}`, 3, 1_000)));
      await delivered();
    }
    const first = await server.readAll(STREAM);
    expect(missingOf(before, first)).toEqual([]);
    await server.stop();
    zeroPagesOf(server.storeFile, before.slice(-9));
    await server.start();
    expect(quarantinedBeside(server.storeFile)).toHaveLength(1);
    const after = await send(gateway, 'after', 20);
    await delivered();
    const there = await server.readAll(STREAM);
    expect(new Set(there).size).toBe(there.length);
    expect(missingOf([...before, ...after], there)).toEqual([]);
    await close();
  });

  it('at the server, in the middle: it is known how many are lost', { timeout: 120_000 }, async () => {
    const { server, gateway, delivered, close } = await openWorld(newFolder(), PLAIN);
    const before: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      before.push(...(await send(gateway, `before ${round}`, 4)));
      await delivered();
    }
    await server.stop();
    zeroPagesOf(server.storeFile, before.slice(24, 27));
    await server.start();
    const after = await send(gateway, 'after', 20);
    await delivered();
    const there = await server.readAll(STREAM);
    expect(new Set(there).size).toBe(there.length);
    expect(missingOf(after, there)).toEqual([]);
    const missing = missingOf(before, there);
    expect(missing.length).toBeGreaterThan(0);
    expect(await lostAt(server.url)).toBe(missing.length);
    await close();
  });
});

describe(`a damaged store is salvaged without its key (SEED=${seed})`, () => {
  it('at the gateway: the block on the page is lost, and nothing else', { timeout: 120_000 }, async () => {
    const { server, gateway, relay, delivered, close } = await openWorld(newFolder(), SEALED);
    const before = await send(gateway, 'before', 10, 1_000);
    await delivered();
    relay.cut();
    const waiting = await send(gateway, 'waiting', 30, 1_000);
    await gateway.stop();
    expect(zeroBlocks(gateway.storeFile, -20)).toEqual([3]);
    await gateway.start(relay.url);
    expect(quarantinedBeside(gateway.storeFile)).toHaveLength(1);
    expect(gateway.lostRecords).toBe(3);
    relay.mend();
    const after = await send(gateway, 'after', 10);
    await delivered();
    const there = await server.readAll(STREAM);
    expect(new Set(there).size).toBe(there.length);
    expect(missingOf([...before, ...waiting, ...after], there)).toEqual(waiting.slice(30, 33));
    expect(await server.events()).toContain('gap');
    await close();
  });

  it('at the server: the newest come again, once, and the rest is known', { timeout: 120_000 }, async () => {
    const { server, gateway, delivered, close } = await openWorld(newFolder(), SEALED);
    const before: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      before.push(...(await send(gateway, `before ${round}`, 3, 1_000)));
      await delivered();
    }
    await server.stop();
    const [lost] = zeroBlocks(server.storeFile, 4, -1);
    await server.start();
    expect(quarantinedBeside(server.storeFile)).toHaveLength(1);
    const after = await send(gateway, 'after', 20);
    await delivered();
    const there = await server.readAll(STREAM);
    expect(new Set(there).size).toBe(there.length);
    expect(missingOf(after, there)).toEqual([]);
    expect(missingOf(before, there)).toHaveLength(lost ?? 0);
    expect(await lostAt(server.url)).toBe(lost);
    await close();
  });
});

describe(`any page of a gateway's log may be lost (SEED=${seed})`, () => {
  it(
    'and every record that is left is at the server once',
    { timeout: 30_000 + ROUNDS * 10_000 },
    async () => {
      const random = randomOf(seed);
      for (let round = 0; round < ROUNDS; round += 1) {
        const { server, gateway, relay, delivered, close } = await openWorld(newFolder(), PLAIN);
        const before = await send(gateway, 'before', 12);
        await delivered();
        relay.cut();
        const waiting = await send(gateway, 'waiting', 12);
        await gateway.stop();
        const file = readFileSync(gateway.storeFile);
        const page = 2 + Math.floor(random() * (file.length / PAGE_BYTES - 2));
        const bytes = file.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
        const blocksOnIt = new Set(bytes.toString('latin1').match(/waiting \d+ /g)).size;
        bytes.fill(0);
        writeFileSync(gateway.storeFile, file);
        await gateway.start(relay.url);
        relay.mend();
        const after = await send(gateway, 'after', 3);
        await delivered();
        const there = await server.readAll(STREAM);
        const say = `page ${page} in round ${round}`;
        expect(new Set(there).size, say).toBe(there.length);
        expect(missingOf([...before, ...after], there), say).toEqual([]);
        // Of a block with pages of its own this may be one in the middle.
        expect(missingOf(waiting, there).length, say).toBeLessThanOrEqual(3 * Math.max(1, blocksOnIt));
        await close();
      }
    },
  );
});

describe(`any page of a server's store may be lost (SEED=${seed})`, () => {
  it('and what is left is read once, and goes on', { timeout: 30_000 + ROUNDS * 10_000 }, async () => {
    const random = randomOf(seed + 1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { server, gateway, delivered, close } = await openWorld(newFolder(), PLAIN);
      const before: string[] = [];
      for (let part = 0; part < 12; part += 1) {
        before.push(...(await send(gateway, `before ${part}`, 1)));
        await delivered();
      }
      await server.stop();
      const file = readFileSync(server.storeFile);
      // A page inside a block costs that block only, and the store is not set aside for it.
      const pages = Array.from({ length: file.length / PAGE_BYTES }, (_, page) => page).filter(
        (page) => page > 1 && file.readBigUInt64LE(page * PAGE_BYTES) === BigInt(page),
      );
      const page = pages[Math.floor(random() * pages.length)] ?? 2;
      const bytes = file.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      const blocksOnIt = new Set(bytes.toString('latin1').match(/before \d+ /g)).size;
      bytes.fill(0);
      writeFileSync(server.storeFile, file);
      await server.start();
      const after = await send(gateway, 'after', 3);
      await delivered();
      const there = await server.readAll(STREAM);
      const say = `page ${page} in round ${round}`;
      expect(new Set(there).size, say).toBe(there.length);
      expect(missingOf(after, there), say).toEqual([]);
      expect(missingOf(before, there).length, say).toBeLessThanOrEqual(3 * Math.max(1, blocksOnIt));
      await close();
    }
  });
});

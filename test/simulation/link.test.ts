// Goal: every record that a gateway has acknowledged is at the server exactly once and in order for each device, through
// cut and stalled links, restarts of either side, restored and copied disks, and a server that lost what it had.
// Method: a random story by seed over real stores and a real socket. A failure prints its seed; run it again with
// SEED=<seed> npx vitest run --project simulation link
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { randomOf } from '../seeded-random.ts';
import type { RecordClass } from '../../stream/record.ts';
import { GatewaySide, lines, openWorld, until } from './link-world.ts';

const STREAM = 'telemetry';
const CLASSES: readonly RecordClass[] = ['alarm', 'normal', 'bulk'];
const seedText = process.env['SEED'];
const seedCount = process.env['NIGHTLY'] === 'true' ? 1_000 : 20;
const seeds =
  seedText === undefined ? Array.from({ length: seedCount }, (_, index) => index + 1) : [Number(seedText)];

const folders: string[] = [];
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-link-'));
  folders.push(folder);
  return folder;
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** `device n` in the order they were acknowledged; a device uses one class, hence one lane. */
class Sensors {
  readonly acknowledged: string[] = [];
  readonly #next = new Map<string, number>();
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  async send(gateway: GatewaySide, recordClass: RecordClass, count: number): Promise<void> {
    const device = `${this.#name}-${recordClass}`;
    const first = this.#next.get(device) ?? 0;
    const texts = Array.from({ length: count }, (_, index) => `${device} ${first + index}`);
    this.#next.set(device, first + count);
    await gateway.append(STREAM, recordClass, device, texts);
    this.acknowledged.push(...texts);
  }
}

function checkOrder(texts: readonly string[]): void {
  const last = new Map<string, number>();
  for (const text of texts) {
    const [device = '', number = ''] = text.split(' ');
    expect(Number(number), `${device} in order`).toBeGreaterThan(last.get(device) ?? -1);
    last.set(device, Number(number));
  }
}

describe('a link that fails', () => {
  it.each(seeds)('loses nothing and doubles nothing, seed %i', async (seed) => {
    lines.length = 0;
    const random = randomOf(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder, {
      isSealed: seed % 3 === 0,
    });
    const sensors = new Sensors('s');
    let hasBackup = false;
    for (let step = 0; step < 60; step += 1) {
      const action = random();
      if (action < 0.6) await sensors.send(gateway, pick(CLASSES), 1 + Math.floor(random() * 50));
      else if (action < 0.68) relay.cut();
      else if (action < 0.74) relay.stall();
      else if (action < 0.84) relay.mend();
      else if (action < 0.9) {
        await gateway.stop();
        await gateway.start(relay.url);
      } else if (action < 0.96 || seed % 2 === 0) {
        await server.stop();
        if (!hasBackup) server.copyTo(join(folder, 'backup'));
        hasBackup = true;
        await server.start();
      } else if (hasBackup) {
        // The server loses what it had since: gateways keep it for a while and send it again.
        await server.stop();
        server.restoreFrom(join(folder, 'backup'));
        await server.start();
      }
    }
    relay.cut();
    relay.mend();
    await delivered();
    const texts = await server.readAll(STREAM);
    expect(texts.toSorted()).toEqual(sensors.acknowledged.toSorted());
    checkOrder(texts);
    await close();
    expect(lines).toEqual([]);
  });
});

describe('a gateway whose disk is not what it was', () => {
  it('goes on after it was restored from an older image, and the server tells', async () => {
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const before = new Sensors('before');
    await before.send(gateway, 'normal', 100);
    await delivered();
    await gateway.stop();
    gateway.copyTo(join(folder, 'image'));
    await gateway.start(relay.url);
    const lost = new Sensors('between');
    await lost.send(gateway, 'normal', 60);
    await until(() => gateway.unsentRecords === 0);
    await gateway.stop();
    gateway.restoreFrom(join(folder, 'image'));
    await gateway.start(relay.url);
    // The same ordinals as the 60 records above, for other records.
    const after = new Sensors('after');
    await after.send(gateway, 'normal', 80);
    await delivered();
    const texts = await server.readAll(STREAM);
    const expected = [...before.acknowledged, ...lost.acknowledged, ...after.acknowledged];
    expect(texts.toSorted()).toEqual(expected.toSorted());
    checkOrder(texts);
    expect(await server.events()).toEqual(expect.arrayContaining(['restored', 'forked']));
    await close();
  });

  it('is told apart from its copy; neither loses or doubles a record', async () => {
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const sensors = new Sensors('original');
    await sensors.send(gateway, 'normal', 50);
    await delivered();
    await gateway.stop();
    gateway.copyTo(join(folder, 'copy'));
    await gateway.start(relay.url);
    await sensors.send(gateway, 'normal', 10);
    await delivered();
    const copy = new GatewaySide(join(folder, 'copy'));
    await copy.start(relay.url);
    const copied = new Sensors('copy');
    await copied.send(copy, 'normal', 70);
    await until(() => copy.linkState === 'offline GATEWAY_CLONED');
    expect(copy.unsentRecords).toBe(70);
    expect(await server.events()).toContain('cloned');
    await sensors.send(gateway, 'normal', 20);
    await until(() => gateway.unsentRecords === 0);
    // The original is switched off: now the copy is the gateway, and what it kept arrives.
    await gateway.stop();
    await until(() => copy.unsentRecords === 0);
    // And back: the original finds that its ordinals were used by the copy.
    await copy.stop();
    await gateway.start(relay.url);
    await sensors.send(gateway, 'normal', 30);
    await delivered();
    const texts = await server.readAll(STREAM);
    expect(texts.toSorted()).toEqual([...sensors.acknowledged, ...copied.acknowledged].toSorted());
    checkOrder(texts);
    await close();
  });
});

describe('a server that does not know the gateway', () => {
  it('because it lost everything: enrolled anew, the gateway sends all that it keeps', async () => {
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const sensors = new Sensors('s');
    await sensors.send(gateway, 'normal', 40);
    await until(() => gateway.unsentRecords === 0);
    await server.stop();
    server.lose();
    await server.start();
    await sensors.send(gateway, 'alarm', 5);
    await until(() => gateway.linkState === 'offline GATEWAY_UNKNOWN');
    await gateway.stop();
    await gateway.start(relay.url, await server.enrolmentCode());
    await delivered();
    const texts = await server.readAll(STREAM);
    expect(texts.toSorted()).toEqual(sensors.acknowledged.toSorted());
    checkOrder(texts);
    await close();
  });

  it('because it was removed: enrolled anew, it is the same gateway and doubles nothing', async () => {
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const sensors = new Sensors('s');
    await sensors.send(gateway, 'normal', 40);
    await until(() => gateway.unsentRecords === 0);
    await server.removeGateways();
    await sensors.send(gateway, 'normal', 5);
    await until(() => gateway.linkState === 'offline GATEWAY_UNKNOWN');
    await gateway.stop();
    await gateway.start(relay.url, await server.enrolmentCode());
    await delivered();
    expect(await server.readAll(STREAM)).toEqual(sensors.acknowledged);
    await close();
  });
});

describe('a copy that becomes a gateway of its own', () => {
  it('delivers what it kept; what the original has delivered stays as it is', async () => {
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const sensors = new Sensors('original');
    await sensors.send(gateway, 'normal', 50);
    await until(() => gateway.unsentRecords === 0);
    await gateway.stop();
    gateway.copyTo(join(folder, 'copy'));
    await gateway.start(relay.url);
    const copy = new GatewaySide(join(folder, 'copy'));
    await copy.start(relay.url);
    const copied = new Sensors('copy');
    await copied.send(copy, 'normal', 30);
    await sensors.send(gateway, 'normal', 20);
    await copy.stop();
    await copy.resetIdentity();
    await copy.start(relay.url, await server.enrolmentCode());
    await until(() => copy.unsentRecords === 0 && copy.linkState === 'online');
    await delivered();
    const texts = await server.readAll(STREAM);
    expect(texts.toSorted()).toEqual([...sensors.acknowledged, ...copied.acknowledged].toSorted());
    checkOrder(texts);
    await copy.stop();
    await close();
  });
});

describe('a log that is full', () => {
  it('keeps its cap, evicts the oldest and least urgent, and the server is told of the gap', async () => {
    const folder = newFolder();
    const capBytes = 4 * 1024 * 1024;
    const { server, gateway, relay, delivered, close } = await openWorld(folder, {
      capBytes,
      compression: 'none',
    });
    relay.cut();
    const filler = 'x'.repeat(1000);
    let sent = 0;
    await gateway.append(STREAM, 'alarm', 'alarm', ['the alarm']);
    for (; sent < 8_000; sent += 100) {
      const texts = Array.from({ length: 100 }, (_, index) => `bulk ${sent + index} ${filler}`);
      await gateway.append(STREAM, 'bulk', 'bulk', texts);
    }
    expect(gateway.evictedRecords).toBeGreaterThan(1_000);
    relay.mend();
    await delivered();
    const evicted = gateway.evictedRecords;
    const texts = await server.readAll(STREAM);
    expect(texts.filter((text) => text === 'the alarm')).toHaveLength(1);
    const numbers = texts.filter((text) => text.startsWith('bulk')).map((text) => Number(text.split(' ')[1]));
    expect(numbers).toEqual(Array.from({ length: sent - evicted }, (_, index) => evicted + index));
    expect(await server.events()).toContain('gap');
    await close();
  });

  it('frees what the server has first', async () => {
    const folder = newFolder();
    const { server, gateway, close } = await openWorld(folder, {
      capBytes: 4 * 1024 * 1024,
      compression: 'none',
    });
    const filler = 'x'.repeat(1000);
    for (let sent = 0; sent < 8_000; sent += 100) {
      const texts = Array.from({ length: 100 }, (_, index) => `alarm ${sent + index} ${filler}`);
      await gateway.append(STREAM, 'alarm', 'alarm', texts);
      await until(() => gateway.unsentRecords < 1_000);
    }
    await until(() => gateway.unsentRecords === 0);
    expect(gateway.evictedRecords).toBe(0);
    expect(gateway.fileBytes).toBeLessThan(4 * 1024 * 1024);
    expect(await server.readAll(STREAM)).toHaveLength(8_000);
    await close();
  });
});

describe('one part that fails', () => {
  it('a damaged block is left out and told as a gap; all others arrive', async () => {
    const folder = newFolder();
    const { server, gateway, relay, delivered, close } = await openWorld(folder, { compression: 'none' });
    relay.cut();
    await gateway.append(STREAM, 'normal', 'k', ['good 1']);
    await gateway.append(STREAM, 'normal', 'k', [`POISON${'y'.repeat(20_000)}`]);
    await gateway.append(STREAM, 'normal', 'k', ['good 2']);
    await gateway.stop();
    gateway.damage('POISON');
    await gateway.start(relay.url);
    relay.mend();
    await gateway.append(STREAM, 'bulk', 'b', ['good 3']);
    await delivered();
    expect((await server.readAll(STREAM)).toSorted()).toEqual(['good 1', 'good 2', 'good 3']);
    expect(await server.events()).toContain('gap');
    await close();
  });

  it('a stream that cannot be made holds up no other one', async () => {
    const folder = newFolder();
    const { server, gateway, delivered, close } = await openWorld(folder);
    await gateway.append(STREAM, 'normal', 'k', ['first']);
    await delivered();
    await gateway.append('forbidden', 'alarm', 'k', ['refused']);
    await gateway.append(STREAM, 'normal', 'k', ['second']);
    await until(async () => (await server.readAll(STREAM)).length === 2);
    await until(() => gateway.unsentRecords === 1);
    expect(gateway.linkState).toBe('online');
    expect(await server.events()).toContain('refused');
    await close();
  });
});

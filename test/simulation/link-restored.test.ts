// Goal: a gateway restored from an image loses and doubles nothing, however often it was started, and whether the image
// was taken of a running gateway.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { GatewaySide } from './link-world.ts';
import { openWorld } from './link-world.ts';

const STREAM = 'telemetry';
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function send(gateway: GatewaySide, name: string, count: number): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, index) => `${name} ${index}`);
  await gateway.append(STREAM, 'normal', name, texts);
  return texts;
}

describe('a gateway restored from an image', () => {
  it('loses nothing when the lost branch was started more than once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tributary-restored-'));
    folders.push(folder);
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const before = await send(gateway, 'before', 100);
    await delivered();
    await gateway.stop();
    gateway.copyTo(join(folder, 'image'));
    // The branch that is lost: two starts.
    await gateway.start(relay.url);
    const lost1 = await send(gateway, 'lost1', 30);
    await delivered();
    await gateway.stop();
    await gateway.start(relay.url);
    const lost2 = await send(gateway, 'lost2', 30);
    await delivered();
    await gateway.stop();
    gateway.restoreFrom(join(folder, 'image'));
    relay.cut();
    await gateway.start(relay.url);
    const after = await send(gateway, 'after', 80);
    relay.mend();
    await delivered();
    const texts = await server.readAll(STREAM);
    await close();
    const missing = [...before, ...lost1, ...lost2, ...after].filter((text) => !texts.includes(text));
    expect(missing, `${missing.length} records are missing`).toEqual([]);
  });

  it('doubles nothing when the image was taken while it ran', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tributary-restored-'));
    folders.push(folder);
    const { server, gateway, relay, delivered, close } = await openWorld(folder);
    const before = await send(gateway, 'before', 100);
    await delivered();
    // An idle, running gateway: a snapshot of its file system.
    gateway.copyTo(join(folder, 'image'));
    const lost = await send(gateway, 'lost', 60);
    await delivered();
    await gateway.stop();
    gateway.restoreFrom(join(folder, 'image'));
    relay.cut();
    await gateway.start(relay.url);
    const after = await send(gateway, 'after', 80);
    relay.mend();
    await delivered();
    const texts = await server.readAll(STREAM);
    await close();
    const doubled = texts.length - new Set(texts).size;
    expect([...before, ...lost, ...after].filter((text) => !texts.includes(text))).toEqual([]);
    expect(doubled, 'doubled records').toBe(0);
  });
});

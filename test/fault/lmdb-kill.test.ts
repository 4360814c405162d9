// Goal: what was acknowledged survives kill -9, in order, without a gap, with its side writes. Method: a real process on a
// real file, killed at a moment nobody chose, several times on the same file.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeBlock } from '../../stream/block.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { LANES, SHARDS } from './lmdb-writer.ts';
import type { Acknowledged } from './lmdb-writer.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const KILLS = process.env['NIGHTLY'] === 'true' ? 200 : 5;
const WRITER = join(import.meta.dirname, '../../dist/test/fault/lmdb-writer.js');

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-kill-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Ordinals acknowledged by lane, of a writer killed after `count` acknowledgements. */
function writeAndKill(path: string, layout: LmdbLayout, count: number): Promise<Map<string, bigint>> {
  const acknowledged = new Map<string, bigint>();
  let received = 0;
  const child = fork(WRITER, [path, layout], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.on('message', (message) => {
    const { lane, last } = message as Acknowledged;
    acknowledged.set(lane, BigInt(last));
    received += 1;
    if (received === count) child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve(acknowledged);
      else reject(new Error(`the writer ended with ${code ?? signal} before it was killed`));
    });
  });
}

/** Ordinals of each lane as they stand in the log, from the first block on. */
async function storedOrdinals({ log }: Store): Promise<Map<string, bigint[]>> {
  const stored = new Map<string, bigint[]>(LANES.map((lane) => [lane, []]));
  for (const shardId of SHARDS) {
    const page = await log.readBlocks({ streamId: 's', shardId }, START_POSITION, {
      blocks: 1e6,
      bytes: 1e9,
    });
    for (const { block } of page.blocks) {
      for (const { data } of decodeBlock(block, nodeDigest).records) {
        const [lane = '', ordinal = ''] = Buffer.from(data).toString().split(' ');
        stored.get(lane)?.push(BigInt(ordinal));
      }
    }
  }
  return stored;
}

describe.each(LAYOUTS)('a writer killed with SIGKILL (layout %s)', (layout) => {
  it('has lost nothing it acknowledged', { timeout: 60_000 + KILLS * 2_000 }, async () => {
    const path = join(folder, 'log.mdb');
    for (let kill = 0; kill < KILLS; kill += 1) {
      const acknowledged = await writeAndKill(path, layout, 40 + kill * 61);
      const verified = await verifyFolder(folder);
      expect(verified).toMatchObject({ ok: true, damage: [] });
      const store = await openLmdbStore({ path, clock: systemClock, layout });
      for (const [index, lane] of LANES.entries()) {
        const ref = { streamId: 's', shardId: SHARDS[index % SHARDS.length] ?? '0' };
        const ordinals = (await storedOrdinals(store)).get(lane) ?? [];
        expect(ordinals).toEqual(ordinals.map((_, at) => BigInt(at + 1)));
        const last = BigInt(ordinals.length);
        expect(last).toBeGreaterThanOrEqual(acknowledged.get(lane) ?? 0n);
        // The block, its lane and its side write are of one commit.
        expect((await store.log.lane(ref, lane))?.last ?? 0n).toBe(last);
        const cursor = await store.meta.get(`cursor/${lane}`);
        expect(cursor === null ? '0' : Buffer.from(cursor.value).toString()).toBe(`${last}`);
      }
      await store.close();
    }
  });
});

// Goal: the newest records of a store are shown while it is open, dated by what is known of their boot now. Method: a
// gateway's store written by a machine that woke up in 1970.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { tailLog } from '../../cli/log-tail.ts';
import { ClockAnchors } from '../../gateway/clock-anchors.ts';
import { nodeCodecs } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import type { Clock } from '../../stream/ports.ts';

const NOW_MS = 1_767_225_600_000;
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-tail-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

function tailed(flags: { limit: number; stream?: string }): Record<string, unknown>[] {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  tailLog(folder, { ...flags, json: true });
  write.mockRestore();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

it('shows the newest records, and when they were taken in as soon as that is known', async () => {
  const machine = { ms: 0 };
  const clock: Clock = { wallMs: () => machine.ms, monotonicUs: () => BigInt(machine.ms) * 1_000n };
  const store = await openLmdbStore({ path: join(folder, 'gateway.mdb'), clock, layout: 'perShard' });
  const identity = openRunIdentity();
  const records = new RecordLog(store.log, identity, clock, nodeDigest, {
    clockSync: () => 'unknown',
    pendingBytesMax: 1e9,
    compression: nodeCodecs[0],
  });
  for (const stream of ['a', 'b']) {
    const ref = { streamId: stream, shardId: 'normal' };
    await store.log.createShard(ref, { retentionMs: Infinity, streamName: stream });
    for (let index = 1; index <= 5; index += 1) {
      machine.ms += 1_000;
      const data = Buffer.from(`${stream}${index} ${'.'.repeat(500 * index)}`);
      await records.append(
        ref,
        [
          { partitionKey: 'k', data },
          { partitionKey: 'k', data },
        ],
        {
          class: 'normal',
          isLane: true,
        },
      );
    }
  }
  expect(tailed({ limit: 1 })).toMatchObject([
    { stream: 'a', ordinal: 10, eventTime: new Date(5_000).toISOString(), clock: 'unknown' },
    { stream: 'b', ordinal: 10, clock: 'unknown' },
  ]);
  const log = openLog('test', { level: 'error', write: () => undefined });
  const parts = { meta: store.meta, clock, log, bootId: identity.bootId, isSynchronized: () => false };
  const anchors = await ClockAnchors.open(parts);
  machine.ms = 20_000;
  anchors.heard(NOW_MS);
  anchors.close();
  await store.meta.put('any', Buffer.from('x'), 'any');
  const shown = tailed({ limit: 3, stream: 'b' });
  expect(shown.map(({ ordinal }) => ordinal)).toEqual([8, 9, 10]);
  // Taken in at second 9 and 10 of the boot, which was known at second 20.
  expect(shown.map(({ eventTime }) => eventTime)).toEqual(
    [-11_000, -10_000, -10_000].map((ms) => new Date(NOW_MS + ms).toISOString()),
  );
  expect(shown.every(({ clock: state }) => state === 'estimated')).toBe(true);
  await store.close();
});

// Goal: records get older by the time the program runs, unless the operator wants the clock's; old ones go, and who was
// never sent is counted. Method: the embedded engine with a clock the test sets, and a minute timer the test winds.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LocalLog } from '../../gateway/local-log.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import type { Store } from '../../stream/ports.ts';
import { ENGINES, REF, START_MS, benches, block } from './engines.ts';
import type { Bench } from './engines.ts';

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;
const MINUTE_MS = 60_000;

const perShard = ENGINES.filter(({ name }) => name === 'lmdb perShard');

describe.each(perShard)('$name: ages', (engine) => {
  const bench = benches(engine);
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
  afterEach(() => void vi.useRealTimers());

  it('go on where they were when the program starts again, whatever the clock says', async () => {
    const opened = bench({ ageBy: 'running' });
    let store = await opened.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    await store.log.append(REF, block());
    opened.clock.ms += HOUR_MS;
    await store.log.append(REF, block());
    expect(store.nowMs()).toBe(START_MS + HOUR_MS);
    for (const jumpMs of [WEEK_MS, -40 * 365 * 24 * HOUR_MS]) {
      await store.close();
      opened.clock.ms += jumpMs;
      store = await opened.open();
      expect(store.nowMs()).toBe(START_MS + HOUR_MS);
    }
    opened.clock.ms += 5;
    const { arrivalMs } = await store.log.append(REF, block());
    expect(arrivalMs).toBe(START_MS + HOUR_MS + 5);
  });

  it('are not taken from a block that was stamped far ahead', async () => {
    const opened = bench({ ageBy: 'wall' });
    let store = await opened.open();
    const other = { ...REF, shardId: 'other' };
    for (const ref of [REF, other]) await store.log.createShard(ref, { retentionMs: Infinity });
    await store.log.append(REF, block());
    opened.clock.ms += 70 * 365 * 24 * HOUR_MS;
    await store.log.append(other, block());
    await store.close();
    opened.clock.ms = START_MS + HOUR_MS;
    store = await engine.open(opened.path, opened.clock, { ageBy: 'running' });
    expect(store.nowMs()).toBe(START_MS + HOUR_MS);
    await store.close();
  });

  it('grow by the clock when the operator wants it', async () => {
    const opened = bench({ ageBy: 'wall' });
    let store = await opened.open();
    await store.close();
    opened.clock.ms += WEEK_MS;
    store = await opened.open();
    expect(store.nowMs()).toBe(START_MS + WEEK_MS);
  });

  async function openLocal(opened: Bench, store: Store, retentionMs: number | null) {
    const run = openRunIdentity();
    const records = new RecordLog(store.log, run, opened.clock, nodeDigest);
    const log = openLog('test', { level: 'error', write: () => undefined });
    return LocalLog.open(
      { store, records, run: run.run, clock: opened.clock, digest: nodeDigest, log },
      { capBytes: 1e9, acknowledgedRetentionMs: HOUR_MS, whenFull: 'reject', retentionMs },
    );
  }

  it.each([null, 2 * HOUR_MS])('send records away at a retention of %s ms', async (retentionMs) => {
    const opened = bench({ ageBy: 'running' });
    let store = await opened.open();
    let local = await openLocal(opened, store, retentionMs);
    const append = (name: string): Promise<void> =>
      local.append(
        { stream: 's', class: 'normal', forward: true },
        [{ partitionKey: 'k', data: Buffer.from(name) }],
        {},
      );
    const settled = async (): Promise<number> => {
      await vi.advanceTimersByTimeAsync(MINUTE_MS);
      await local.close();
      return (await store.log.bounds({ streamId: 's', shardId: 'normal' })).records;
    };
    await append('old');
    opened.clock.ms += HOUR_MS;
    await append('younger');
    await local.close();
    await store.close();
    // In a drawer.
    opened.clock.ms += WEEK_MS;
    store = await opened.open();
    local = await openLocal(opened, store, retentionMs);
    expect(await settled()).toBe(2);
    opened.clock.ms += HOUR_MS + MINUTE_MS;
    local = await openLocal(opened, store, retentionMs);
    expect(await settled()).toBe(retentionMs === null ? 2 : 1);
    expect(local.evictions()).toEqual(
      retentionMs === null ? [] : [{ stream: 's', class: 'normal', records: 1 }],
    );
  });
});

// Goal: a shard forgets what is older than its retention and nothing else, whatever the clock does. Method: a clock that
// the test sets.
import { describe, expect, it } from 'vitest';
import { START_POSITION, toPosition } from '../../stream/position.ts';
import { ALL_ENGINES, REF, START_MS, benches, block } from './engines.ts';

const HOUR_MS = 3_600_000;

describe.each(ALL_ENGINES)('$name: retention', (engine) => {
  const bench = benches(engine);

  it('trims in one commit with what is to be remembered of it', async () => {
    const opened = bench();
    let { log, meta } = await opened.open();
    await log.createShard(REF, { retentionMs: Infinity });
    for (let index = 0; index < 3; index += 1) await log.append(REF, block(2));
    await log.trim(REF, toPosition(1n, 2n, 0), [{ key: 'gone', value: Buffer.from('2') }]);
    await log.trim(REF, toPosition(1n, 3n, 0), [{ key: 'gone', value: Buffer.from('4') }]);
    await log.append(REF, block(1));
    if (engine.isDurable) ({ log, meta } = await opened.reopen());
    expect(Buffer.from((await meta.get('gone'))?.value ?? []).toString()).toBe('4');
    expect(await log.bounds(REF)).toMatchObject({ records: 3, totalRecords: 7 });
  });

  it('starts reads at the horizon, and deletes what expired with the next append', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: 10 });
    for (let index = 0; index < 20; index += 1) {
      opened.clock.ms = START_MS + index;
      await log.append(REF, block(2));
    }
    // Now is START + 19: what arrived at START + 9 is as old as it may be.
    expect(await log.bounds(REF)).toMatchObject({
      first: toPosition(1n, 10n, 0),
      records: 22,
      totalRecords: 40,
    });
    const page = await log.readBlocks(REF, START_POSITION, { blocks: 1, bytes: 1e9 });
    expect(page.blocks[0]?.first).toBe(toPosition(1n, 10n, 0));
    expect(await log.seekTime(REF, 0)).toBe(toPosition(1n, 10n, 0));
    expect(await log.seekOrdinal(REF, 1n)).toBe(toPosition(1n, 10n, 0));
    opened.clock.ms += 1_000;
    expect(await log.bounds(REF)).toMatchObject({ first: null, last: null, records: 0, bytes: 0 });
    const { first } = await log.append(REF, block());
    expect(first).toBe(toPosition(1n, 21n, 0));
    expect(await log.bounds(REF)).toMatchObject({ first, records: 1, totalRecords: 41 });
  });

  it('changes live: lowering forgets at once, raising keeps what is still there and brings nothing back', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: HOUR_MS });
    await log.append(REF, block());
    opened.clock.ms += HOUR_MS / 2;
    await log.append(REF, block());
    await log.setRetention(REF, HOUR_MS / 4);
    expect(await log.bounds(REF)).toMatchObject({ first: toPosition(1n, 2n, 0) });
    opened.clock.ms += HOUR_MS / 8;
    await log.setRetention(REF, HOUR_MS);
    expect(await log.bounds(REF)).toMatchObject({ first: toPosition(1n, 2n, 0), records: 1 });
    opened.clock.ms += HOUR_MS / 2;
    expect(await log.bounds(REF)).toMatchObject({ first: toPosition(1n, 2n, 0), records: 1 });
    opened.clock.ms += HOUR_MS;
    expect(await log.bounds(REF)).toMatchObject({ first: null, records: 0 });
  });

  it('raised in a closed shard keeps what is still there', async () => {
    const opened = bench();
    let { log } = await opened.open();
    await log.createShard(REF, { retentionMs: HOUR_MS });
    await log.append(REF, block());
    opened.clock.ms += HOUR_MS / 2;
    await log.append(REF, block());
    await log.closeShard(REF);
    opened.clock.ms += HOUR_MS / 2 + 1;
    await log.setRetention(REF, 2 * HOUR_MS);
    if (engine.isDurable) ({ log } = await opened.reopen());
    expect(await log.bounds(REF)).toMatchObject({ records: 1, totalRecords: 2, closed: true });
  });

  it('goes by the retention set in the same turn as an append', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: Infinity });
    await log.append(REF, block());
    opened.clock.ms += HOUR_MS;
    await Promise.all([log.setRetention(REF, HOUR_MS / 2), log.append(REF, block())]);
    expect(await log.bounds(REF)).toMatchObject({ first: toPosition(1n, 2n, 0), records: 1 });
    opened.clock.ms += HOUR_MS / 2;
    await Promise.all([log.setRetention(REF, Infinity), log.append(REF, block())]);
    opened.clock.ms += HOUR_MS;
    await log.append(REF, block());
    expect(await log.bounds(REF)).toMatchObject({ first: toPosition(1n, 2n, 0), records: 3 });
  });

  it('goes on in closed shards', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: HOUR_MS });
    await log.append(REF, block());
    await log.closeShard(REF);
    opened.clock.ms += HOUR_MS + 1;
    const page = await log.readBlocks(REF, START_POSITION, { blocks: 1, bytes: 1 });
    expect([page.blocks.length, page.closedEnd]).toEqual([0, true]);
    expect(await log.closeShard(REF)).toEqual({ last: null, lanes: [] });
  });
});

describe.each(ALL_ENGINES)('$name: a clock that jumps', (engine) => {
  const bench = benches(engine);

  it('never lets arrival decrease over small steps back', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: Infinity });
    await log.append(REF, block());
    opened.clock.ms -= 60_000;
    expect((await log.append(REF, block())).arrivalMs).toBe(START_MS);
    expect(await log.seekTime(REF, START_MS)).toBe(toPosition(1n, 1n, 0));
  });

  it('is not frozen by one jump far ahead, and expires what arrived then', async () => {
    const opened = bench();
    const { log } = await opened.open();
    const farMs = START_MS + 73 * 365 * 24 * HOUR_MS;
    await log.createShard(REF, { retentionMs: HOUR_MS });
    opened.clock.ms = farMs;
    await log.append(REF, block());
    opened.clock.ms = START_MS;
    expect((await log.append(REF, block())).arrivalMs).toBe(START_MS);
    expect(await log.seekTime(REF, START_MS)).toBe(toPosition(1n, 1n, 0));
    expect(await log.seekTime(REF, farMs + 1)).toBe(toPosition(1n, 3n, 0));
    opened.clock.ms = START_MS + HOUR_MS + 1;
    expect(await log.bounds(REF)).toMatchObject({ records: 0 });
  });

  it('finds the horizon after the clock was set back twice', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: HOUR_MS });
    // Arrivals descend from segment to segment: what expires first is not what has the smallest arrival.
    for (const hoursAhead of [30, 20, 10, 0]) {
      opened.clock.ms = START_MS + hoursAhead * HOUR_MS;
      for (let index = 0; index < 4; index += 1) await log.append(REF, block());
    }
    expect(await log.bounds(REF)).toMatchObject({ first: toPosition(1n, 1n, 0), records: 16 });
    opened.clock.ms = START_MS + HOUR_MS;
    expect(await log.bounds(REF)).toMatchObject({ records: 16 });
    opened.clock.ms = START_MS + HOUR_MS + 1;
    expect(await log.bounds(REF)).toMatchObject({ records: 0, first: null });
  });

  it('seeks a time within each segment', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, { retentionMs: Infinity });
    for (const startMs of [START_MS, START_MS - HOUR_MS]) {
      for (let index = 0; index < 10; index += 1) {
        opened.clock.ms = startMs + index * 1_000;
        await log.append(REF, block());
      }
    }
    expect(await log.seekTime(REF, START_MS + 5_000)).toBe(toPosition(1n, 6n, 0));
    await log.trim(REF, toPosition(1n, 11n, 0));
    await log.append(REF, block());
    expect(await log.seekTime(REF, START_MS - HOUR_MS + 5_000)).toBe(toPosition(1n, 16n, 0));
    expect(await log.seekTime(REF, START_MS)).toBe(toPosition(1n, 22n, 0));
  });
});

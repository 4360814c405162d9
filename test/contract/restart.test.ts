// Goal: what was acknowledged is there after a restart, and numbers are never given twice. Method: close and open again;
// for every engine that keeps anything.
import { describe, expect, it } from 'vitest';
import type { Store } from '../../stream/ports.ts';
import { START_POSITION, toPosition } from '../../stream/position.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import {
  DURABLE_ENGINES,
  REF,
  START_MS,
  allBlocks,
  benches,
  block,
  bytes,
  hex,
  laneBlock,
  outcome,
  text,
} from './engines.ts';

const FOREVER = { retentionMs: Infinity };

describe.each(DURABLE_ENGINES)('$name: restart', (engine) => {
  const bench = benches(engine);
  it('finds everything again', async () => {
    const opened = bench();
    const { log, meta } = await opened.open();
    await log.createShard(REF, { retentionMs: 60_000 });
    const sent = Array.from({ length: 100 }, (_, index) =>
      laneBlock('l', BigInt(index + 1), BigInt(index + 1)),
    );
    for (const input of sent) await log.append(REF, input);
    await log.setRetention(REF, 120_000);
    const revision = await meta.put('k', bytes('v'), 'absent');
    meta.putLazy('lazy', bytes('kept by closing'));
    const before = { bounds: await log.bounds(REF), lane: await log.lane(REF, 'l') };
    const again = await opened.reopen();
    expect({ bounds: await again.log.bounds(REF), lane: await again.log.lane(REF, 'l') }).toEqual(before);
    expect(await allBlocks(again.log, REF)).toEqual(sent.map((input) => hex(input.block)));
    expect(await again.meta.get('k')).toMatchObject({ revision });
    expect(text((await again.meta.get('lazy'))?.value)).toBe('kept by closing');
    expect((await again.meta.put('k', bytes('w'), revision)) > revision).toBe(true);
    opened.clock.ms = START_MS + 120_001;
    expect(await again.log.bounds(REF)).toMatchObject({ records: 0, totalRecords: 100 });
    expect(await outcome(again.log.append(REF, laneBlock('l', 50n, 50n)))).toMatchObject({ duplicate: true });
  });

  it('does not give numbers again when everything was trimmed', async () => {
    const opened = bench();
    let store = await opened.open();
    await store.log.createShard(REF, FOREVER);
    for (let index = 0; index < 10; index += 1) await store.log.append(REF, block(3));
    await store.log.trim(REF, toPosition(1n, 11n, 0));
    const before = await store.log.bounds(REF);
    expect(before).toMatchObject({ first: null, records: 0, totalRecords: 30 });
    for (let round = 0; round < 2; round += 1) {
      store = await opened.reopen();
      expect(await store.log.bounds(REF)).toEqual(before);
    }
    expect(await store.log.seekOrdinal(REF, 31n)).toBe(toPosition(1n, 11n, 0));
    expect((await store.log.append(REF, block(2))).first).toBe(toPosition(1n, 11n, 0));
    store = await opened.reopen();
    expect(await store.log.bounds(REF)).toMatchObject({ records: 2, totalRecords: 32 });
    expect(await store.log.seekOrdinal(REF, 32n)).toBe(toPosition(1n, 11n, 1));
  });

  it('counts rightly after a trim of a part, and keeps it when nothing else was written', async () => {
    const opened = bench();
    const store = await opened.open();
    await store.log.createShard(REF, FOREVER);
    for (let index = 0; index < 10; index += 1) await store.log.append(REF, block(2, `${index}`));
    await store.log.trim(REF, toPosition(1n, 5n, 0));
    const before = await store.log.bounds(REF);
    expect(before).toMatchObject({ first: toPosition(1n, 5n, 0), records: 12, totalRecords: 20 });
    const again = await opened.reopen();
    expect(await again.log.bounds(REF)).toEqual(before);
    expect(await allBlocks(again.log, REF)).toEqual(
      [4, 5, 6, 7, 8, 9].map((index) => hex(block(2, `${index}`).block)),
    );
  });

  it('deletes a head that is longer than a commit deletes', async () => {
    const opened = bench();
    const store = await opened.open();
    await store.log.createShard(REF, FOREVER);
    await Promise.all(
      Array.from({ length: 1_500 }, () => store.log.append(REF, block(1, 'x'.repeat(2_000)))),
    );
    const before = store.usage().liveBytes;
    await store.log.trim(REF, toPosition(1n, 1_401n, 0));
    for (let index = 0; index < 10; index += 1) await store.log.append(REF, block());
    const again = await opened.reopen();
    expect(await again.log.bounds(REF)).toMatchObject({ first: toPosition(1n, 1_401n, 0), records: 110 });
    expect(again.usage().liveBytes).toBeLessThan(before / 5);
    expect(await verifyFolder(opened.folder)).toMatchObject({ ok: true, records: 110 });
  });

  it('deletes all of a long head when nobody writes any more', async () => {
    const opened = bench({ lazyMs: 2 });
    const store = await opened.open();
    await store.log.createShard(REF, FOREVER);
    await Promise.all(
      Array.from({ length: 1_500 }, () => store.log.append(REF, block(1, 'x'.repeat(2_000)))),
    );
    const before = store.usage().liveBytes;
    await store.log.trim(REF, toPosition(1n, 1_401n, 0));
    while (store.usage().liveBytes > before / 5) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(await store.log.bounds(REF)).toMatchObject({ records: 100 });
  });

  it('frees what expired in a shard nobody writes to', async () => {
    const opened = bench({ sweepMs: 5, lazyMs: 5 });
    const store = await opened.open();
    await store.log.createShard(REF, { retentionMs: 1_000 });
    await Promise.all(Array.from({ length: 300 }, () => store.log.append(REF, block(1, 'x'.repeat(2_000)))));
    await store.log.closeShard(REF);
    const before = store.usage().liveBytes;
    opened.clock.ms += 2_000;
    while (store.usage().liveBytes > before / 5) await new Promise((resolve) => setTimeout(resolve, 5));
    const again = await opened.reopen();
    expect(await again.log.bounds(REF)).toMatchObject({ closed: true, records: 0, totalRecords: 300 });
  });

  it('knows that a shard is closed or dropped', async () => {
    const opened = bench();
    const store = await opened.open();
    const dropped = { ...REF, shardId: 'dropped' };
    for (const ref of [REF, dropped]) {
      await store.log.createShard(ref, FOREVER);
      await store.log.append(ref, laneBlock('l', 1n, 2n));
    }
    const closed = await store.log.closeShard(REF);
    await store.log.dropShard(dropped);
    const again = await opened.reopen();
    expect(await outcome(again.log.append(REF, block()))).toBe('SHARD_CLOSED');
    expect(await again.log.closeShard(REF)).toEqual(closed);
    expect(await outcome(again.log.bounds(dropped))).toBe('SHARD_NOT_FOUND');
    await again.log.createShard(dropped, FOREVER);
    expect(await again.log.bounds(dropped)).toMatchObject({ records: 0, totalRecords: 0 });
    expect(await verifyFolder(opened.folder)).toMatchObject({ ok: true, damage: [] });
  });

  it('remembers segments of time', async () => {
    const opened = bench();
    const store = await opened.open();
    await store.log.createShard(REF, { retentionMs: 3_600_000 });
    for (const ms of [START_MS + 9e9, START_MS]) {
      opened.clock.ms = ms;
      for (let index = 0; index < 3; index += 1) await store.log.append(REF, block());
    }
    const again = await opened.reopen();
    opened.clock.ms = START_MS + 3_600_001;
    expect(await again.log.bounds(REF)).toMatchObject({ records: 0 });
  });

  it('expires watches of before', async () => {
    const opened = bench();
    const store = await opened.open();
    const revision = await store.meta.put('a', bytes(''), 'any');
    await store.meta.put('b', bytes(''), 'any');
    const again = await opened.reopen();
    const never = new AbortController().signal;
    const first = (from: bigint) => outcome(again.meta.watch('', never, from)[Symbol.asyncIterator]().next());
    expect(await first(revision)).toBe('WATCH_EXPIRED');
    const next = first(revision + 1n);
    await again.meta.put('c', bytes(''), 'any');
    expect(await next).toMatchObject({ value: { key: 'c' } });
  });

  it('refuses to be used when it is closed', async () => {
    const opened = bench();
    const store = await opened.open();
    await store.log.createShard(REF, FOREVER);
    await store.close();
    const calls: ((closed: Store) => Promise<unknown>)[] = [
      ({ log }) => log.append(REF, block()),
      ({ log }) => log.bounds(REF),
      ({ log }) => log.readBlocks(REF, START_POSITION, { blocks: 1, bytes: 1 }),
      ({ meta }) => meta.put('k', bytes(''), 'any'),
      ({ meta }) => meta.get('k'),
    ];
    for (const call of calls) expect(await outcome(call(store))).toBe('STORAGE_CLOSED');
    await store.close();
  });
});

// Goal: the map is linearizable, one of N racing writers wins, a watcher misses nothing. Method: every engine.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { META_VALUE_BYTES_MAX, META_WATCH_HORIZON } from '../../stream/limits.ts';
import type { Meta, MetaEvent } from '../../stream/ports.ts';
import { ENGINES, REF, benches, block, bytes, outcome, text } from './engines.ts';

async function keysOf(meta: Meta, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const entry of meta.list(prefix)) keys.push(entry.key);
  return keys;
}

/** Events until the key `end`. */
async function watchToEnd(meta: Meta, prefix: string, fromRevision?: bigint): Promise<MetaEvent[]> {
  const events: MetaEvent[] = [];
  for await (const event of meta.watch(prefix, new AbortController().signal, fromRevision)) {
    if (event.key.endsWith('end')) return events;
    events.push(event);
  }
  return events;
}

describe.each(ENGINES)('$name: compare and set', (engine) => {
  const bench = benches(engine);

  it('lets exactly one of 8 writers create, 50 times', async () => {
    const { meta } = await bench().open();
    for (let round = 0; round < 50; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, writer) =>
          outcome(meta.put(`k${round}`, bytes(`${writer}`), 'absent')),
        ),
      );
      const winners = answers.flatMap((answer, writer) => (typeof answer === 'bigint' ? [writer] : []));
      expect(winners).toHaveLength(1);
      expect(answers.filter((answer) => answer === 'META_CONFLICT')).toHaveLength(7);
      expect(text((await meta.get(`k${round}`))?.value)).toBe(`${winners[0]}`);
    }
  });

  it('lets exactly one of 8 writers update, 50 times, and revisions grow', async () => {
    const { meta } = await bench().open();
    let revision = await meta.put('k', bytes('start'), 'absent');
    for (let round = 0; round < 50; round += 1) {
      const expected = revision;
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, writer) => outcome(meta.put('k', bytes(`${writer}`), expected))),
      );
      const won = answers.filter((answer) => typeof answer === 'bigint');
      expect(won).toHaveLength(1);
      expect((won[0] ?? 0n) > expected).toBe(true);
      revision = won[0] ?? 0n;
    }
  });

  it('lets exactly one of 8 delete', async () => {
    const { meta } = await bench().open();
    const revision = await meta.put('k', bytes('v'), 'any');
    const answers = await Promise.all(Array.from({ length: 8 }, () => outcome(meta.del('k', revision))));
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(1);
    expect(await meta.get('k')).toBeNull();
    await meta.del('k', 'any');
    expect(await outcome(meta.del('k', revision))).toBe('META_CONFLICT');
  });

  it('refuses large values and keeps the old one', async () => {
    const { meta } = await bench().open();
    await meta.put('k', bytes('old'), 'any');
    const large = new Uint8Array(META_VALUE_BYTES_MAX + 1);
    expect(await outcome(meta.put('k', large, 'any'))).toBe('META_VALUE_TOO_LARGE');
    expect(text((await meta.get('k'))?.value)).toBe('old');
    await meta.put('k', large.subarray(1), 'any');
    expect((await meta.get('k'))?.value.length).toBe(META_VALUE_BYTES_MAX);
  });
});

describe.each(ENGINES)('$name: keys', (engine) => {
  const bench = benches(engine);

  it('lists a prefix in the order of the bytes', async () => {
    const { meta } = await bench().open();
    const keys = ['b/2', 'a', 'b/10', 'b/', 'b', 'c', 'b/ä', 'b/z', 'b/😀', 'b/\uffff'];
    for (const key of keys) await meta.put(key, bytes(key), 'any');
    const sorted = (some: string[]) =>
      some.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await keysOf(meta, 'b/')).toEqual(sorted(keys.filter((key) => key.startsWith('b/'))));
    expect(await keysOf(meta, '')).toEqual(sorted(keys));
    expect(await keysOf(meta, 'nothing')).toEqual([]);
  });

  it('lists more than a page', async () => {
    const { meta } = await bench().open();
    const keys = Array.from({ length: 700 }, (_, index) => `k/${String(index).padStart(4, '0')}`);
    await Promise.all(keys.map((key) => meta.put(key, bytes(key), 'any')));
    expect(await keysOf(meta, 'k/')).toEqual(keys);
  });

  it('keeps keys longer than the engine takes apart, in order, also of one prefix', async () => {
    const { meta } = await bench().open();
    const stem = 'x'.repeat(600);
    const keys = ['b', 'a', '!', '~', ''].map((end) => stem + end);
    const shorter = ['x'.repeat(440), 'x'.repeat(470), 'x'.repeat(512)];
    // What the hashed form of a key looks like, at the lengths around the longest that is kept as it is.
    const hash = createHash('sha256').update(`${stem}b`).digest('hex');
    const lookalikes = [446, 447, 448].map((length) => `${'x'.repeat(length)}#${hash}`);
    const all = [...keys, ...shorter, ...lookalikes];
    for (const key of all) await meta.put(key, bytes(key.slice(-3)), 'absent');
    for (const key of all) expect(text((await meta.get(key))?.value)).toBe(key.slice(-3));
    expect(await keysOf(meta, 'x')).toEqual(all.toSorted());
    expect(await keysOf(meta, stem)).toEqual(keys.toSorted());
    expect(await keysOf(meta, `${stem}b`)).toEqual([`${stem}b`]);
    await meta.del(`${stem}a`, 'any');
    expect(await keysOf(meta, stem)).toEqual(keys.filter((key) => key !== `${stem}a`).toSorted());
  });
});

describe.each(ENGINES)('$name: lazy values', (engine) => {
  const bench = benches(engine);

  it('are seen at once by get and list, deletions too', async () => {
    const { meta } = await bench().open();
    await meta.put('k/b', bytes('stored'), 'any');
    await meta.put('k/c', bytes('stored'), 'any');
    meta.putLazy('k/a', bytes('lazy a'));
    meta.putLazy('k/b', bytes('lazy b'));
    meta.putLazy('k/c', null);
    meta.putLazy('k/d', null);
    meta.putLazy('k/e', bytes('lazy e'));
    const seen: (string | null)[] = [];
    for await (const entry of meta.list('k/')) seen.push(`${entry.key}=${text(entry.value)}`);
    expect(seen).toEqual(['k/a=lazy a', 'k/b=lazy b', 'k/e=lazy e']);
    expect(text((await meta.get('k/b'))?.value)).toBe('lazy b');
    expect(await meta.get('k/c')).toBeNull();
    await meta.put('other', bytes('takes them along'), 'any');
    expect(await keysOf(meta, 'k/')).toEqual(['k/a', 'k/b', 'k/e']);
    meta.putLazy('k/a', null);
    expect(await keysOf(meta, 'k/')).toEqual(['k/b', 'k/e']);
  });

  it('do not come back over what was durably written behind them', async () => {
    const { log, meta } = await bench().open();
    await log.createShard(REF, { retentionMs: Infinity });
    meta.putLazy('k', bytes('lazy'));
    await meta.put('k', bytes('durable'), 'any');
    expect(text((await meta.get('k'))?.value)).toBe('durable');
    meta.putLazy('w', bytes('lazy'));
    await log.append(REF, { ...block(), with: [{ key: 'w', value: bytes('durable') }] });
    expect(text((await meta.get('w'))?.value)).toBe('durable');
    meta.putLazy('d', bytes('lazy'));
    await meta.del('d', 'any');
    await meta.put('other', bytes(''), 'any');
    expect(await meta.get('d')).toBeNull();
    expect(await keysOf(meta, '')).toEqual(['k', 'other', 'w']);
  });

  it('count for what a put expects', async () => {
    const { meta } = await bench().open();
    meta.putLazy('k', bytes('lazy'));
    expect(await outcome(meta.put('k', bytes('new'), 'absent'))).toBe('META_CONFLICT');
    const seen = await meta.get('k');
    await meta.put('k', bytes('new'), seen?.revision ?? 'absent');
    meta.putLazy('k', null);
    expect(typeof (await outcome(meta.put('k', bytes('again'), 'absent')))).toBe('bigint');
    expect(text((await meta.get('k'))?.value)).toBe('again');
  });

  it('are void for what follows a durable write in the same turn', async () => {
    const { meta } = await bench().open();
    meta.putLazy('k', null);
    const answers = [meta.put('k', bytes('a'), 'any'), meta.put('k', bytes('b'), 'absent')].map(outcome);
    expect(await answers[1]).toBe('META_CONFLICT');
    expect(text((await meta.get('k'))?.value)).toBe('a');
  });

  it('do not keep the caller’s buffer', async () => {
    const { meta } = await bench().open();
    const value = bytes('mine');
    meta.putLazy('k', value);
    value.fill(0);
    expect(text((await meta.get('k'))?.value)).toBe('mine');
  });
});

describe.each(ENGINES)('$name: watch', (engine) => {
  const bench = benches(engine);

  it('gives what is there, then every change in order, of the prefix only', async () => {
    const { meta } = await bench().open();
    await meta.put('k/1', bytes('there'), 'any');
    await meta.put('other', bytes('no'), 'any');
    const watching = watchToEnd(meta, 'k/');
    await new Promise(setImmediate);
    for (let index = 0; index < 20; index += 1) await meta.put(`k/${index % 3}`, bytes(`${index}`), 'any');
    await meta.del('k/0', 'any');
    await meta.put('k/end', bytes(''), 'any');
    const events = await watching;
    expect(events.map(({ key, value }) => `${key}=${text(value)}`)).toEqual([
      'k/1=there',
      ...Array.from({ length: 20 }, (_, index) => `k/${index % 3}=${index}`),
      'k/0=null',
    ]);
    const revisions = events.map(({ revision }) => revision);
    expect(revisions).toEqual(revisions.toSorted((a, b) => (a < b ? -1 : 1)));
  });

  it('goes on behind a revision without gap or duplicate', async () => {
    const { log, meta } = await bench().open();
    await log.createShard(REF, { retentionMs: Infinity });
    const revisions: bigint[] = [];
    for (let index = 0; index < 10; index += 1) revisions.push(await meta.put(`k${index}`, bytes(''), 'any'));
    await log.append(REF, { ...block(), with: [{ key: 'with', value: bytes('1') }] });
    await meta.put('end', bytes(''), 'any');
    for (const [index, revision] of revisions.entries()) {
      const events = await watchToEnd(meta, '', revision);
      expect(events.map(({ key }) => key)).toEqual([
        ...revisions.slice(index + 1).map((_, offset) => `k${index + 1 + offset}`),
        'with',
      ]);
    }
  });

  it('expires when too much was changed since, and when the revision is not of this store', async () => {
    const { meta } = await bench().open();
    const first = await meta.put('k', bytes('0'), 'any');
    const puts = Array.from({ length: META_WATCH_HORIZON + 1 }, (_, index) =>
      meta.put('k', bytes(`${index}`), 'any'),
    );
    const revisions = await Promise.all(puts);
    expect(await outcome(watchToEnd(meta, '', first))).toBe('WATCH_EXPIRED');
    expect(await outcome(watchToEnd(meta, '', (revisions.at(-1) ?? 0n) + 1n))).toBe('WATCH_EXPIRED');
    await meta.put('end', bytes(''), 'any');
    expect(await watchToEnd(meta, '', revisions[1])).toHaveLength(META_WATCH_HORIZON - 1);
  });

  it('tells a slow watcher that it missed changes', async () => {
    const { meta } = await bench().open();
    const watch = meta.watch('', new AbortController().signal)[Symbol.asyncIterator]();
    await meta.put('k', bytes('first'), 'any');
    const first = await watch.next();
    expect(first.done).toBe(false);
    await Promise.all(Array.from({ length: META_WATCH_HORIZON + 2 }, () => meta.put('k', bytes(''), 'any')));
    expect(await outcome(watch.next())).toBe('WATCH_EXPIRED');
  });

  it('ends when it is aborted, and is told when the store closes', async () => {
    const store = await bench().open();
    const stop = new AbortController();
    const events: string[] = [];
    const watching = (async () => {
      for await (const event of store.meta.watch('', stop.signal)) events.push(event.key);
    })();
    await store.meta.put('k', bytes(''), 'any');
    while (events.length === 0) await new Promise(setImmediate);
    stop.abort();
    await watching;
    expect(events).toEqual(['k']);
    const closed = outcome(watchToEnd(store.meta, ''));
    await new Promise(setImmediate);
    await store.close();
    expect(await closed).toBe('STORAGE_CLOSED');
  });
});

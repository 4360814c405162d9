// Goal: exactly once for each lane, side writes atomic with their block, a fence that is exact. Method: every engine.
import { describe, expect, it } from 'vitest';
import { META_VALUE_BYTES_MAX } from '../../stream/limits.ts';
import { START_POSITION, toPosition } from '../../stream/position.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { KEYS_PREFIX } from '../../storage/seal/key-table.ts';
import {
  ALL_ENGINES,
  REF,
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

describe.each(ALL_ENGINES)('$name: lanes', (engine) => {
  const bench = benches(engine);

  it('takes exactly the next ordinals, also of calls in one turn', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const answers = await Promise.all(
      [
        laneBlock('l', 1n, 3n),
        laneBlock('l', 4n, 4n),
        laneBlock('l', 1n, 3n),
        laneBlock('l', 9n, 9n),
        laneBlock('l', 4n, 6n),
        laneBlock('other', 1n, 1n),
        laneBlock('l', 5n, 6n),
      ].map(async (input) => {
        const answer = await outcome(log.append(REF, input));
        return typeof answer === 'string' ? answer : answer.duplicate;
      }),
    );
    expect(answers).toEqual([false, false, true, 'LANE_GAP', 'LANE_OVERLAP', false, false]);
    expect(await allBlocks(log, REF)).toHaveLength(4);
    expect(await log.lane(REF, 'l')).toMatchObject({ last: 6n, position: toPosition(1n, 4n, 1) });
    expect(await log.lane(REF, 'unknown')).toBeNull();
  });

  it('says how far it is when it refuses', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    await log.append(REF, laneBlock('l', 1n, 5n));
    for (const offer of [laneBlock('l', 7n, 8n), laneBlock('l', 3n, 8n)]) {
      await expect(log.append(REF, offer)).rejects.toSatisfy(
        (error) => isTributaryError(error) && error.details['have'] === 5n,
      );
    }
  });

  it('answers a repeated batch with the end of the lane, and applies none of its side writes', async () => {
    const { log, meta } = await bench().open();
    await log.createShard(REF, FOREVER);
    await log.append(REF, laneBlock('l', 1n, 2n));
    await log.append(REF, laneBlock('l', 3n, 4n, { tag: bytes('second') }));
    const again = await log.append(
      REF,
      laneBlock('l', 1n, 2n, { tag: bytes('again'), with: [{ key: 'k', value: bytes('v') }] }),
    );
    expect(again).toMatchObject({ duplicate: true, first: toPosition(1n, 2n, 1) });
    expect(text((await log.lane(REF, 'l'))?.tag)).toBe('second');
    expect(await meta.get('k')).toBeNull();
  });

  it('judges a lane as if it ended where its writer lost records', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    await log.append(REF, laneBlock('l', 1n, 5n));
    expect(await outcome(log.append(REF, laneBlock('l', 11n, 12n)))).toBe('LANE_GAP');
    expect(await outcome(log.append(REF, laneBlock('l', 12n, 12n, { after: 10n })))).toBe('LANE_GAP');
    await log.append(REF, laneBlock('l', 11n, 12n, { after: 10n }));
    // Behind the stored end `after` says nothing.
    expect(await log.append(REF, laneBlock('l', 11n, 12n, { after: 3n }))).toMatchObject({ duplicate: true });
    expect(await outcome(log.append(REF, laneBlock('l', 4n, 13n, { after: 3n })))).toBe('LANE_OVERLAP');
    expect(await log.lane(REF, 'l')).toMatchObject({ last: 12n });
  });

  it('stores nothing of what its writer calls lost', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const answer = await log.append(REF, laneBlock('l', 1n, 5n, { after: 10n }));
    expect(answer).toMatchObject({ duplicate: true, first: START_POSITION });
    expect(await allBlocks(log, REF)).toEqual([]);
    expect(await outcome(log.append(REF, laneBlock('l', 8n, 11n, { after: 10n })))).toBe('LANE_OVERLAP');
  });
});

describe.each(ALL_ENGINES)('$name: side writes', (engine) => {
  const bench = benches(engine);

  it('are there with their block, in order, deletions too', async () => {
    const { log, meta } = await bench().open();
    await log.createShard(REF, FOREVER);
    const before = await meta.put('gone', bytes('x'), 'absent');
    await log.append(REF, {
      ...block(),
      with: [
        { key: 'a', value: bytes('1') },
        { key: 'gone', value: null },
        { key: 'a', value: bytes('2') },
      ],
    });
    const entry = await meta.get('a');
    expect(text(entry?.value)).toBe('2');
    expect((entry?.revision ?? 0n) > before).toBe(true);
    expect(await meta.get('gone')).toBeNull();
  });

  it('leave nothing when their append is refused, nor does the append', async () => {
    const { log, meta } = await bench().open();
    await log.createShard(REF, FOREVER);
    const seen: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const event of meta.watch('', stop.signal)) {
        seen.push(event.key);
        if (event.key === 'end') stop.abort();
      }
    })();
    const tooLarge = { key: 'large', value: new Uint8Array(META_VALUE_BYTES_MAX + 1) };
    const refused = { ...laneBlock('l', 1n, 1n), with: [{ key: 'first', value: bytes('1') }, tooLarge] };
    expect(await outcome(log.append(REF, refused))).toBe('META_VALUE_TOO_LARGE');
    expect(await meta.get('first')).toBeNull();
    expect(await log.lane(REF, 'l')).toBeNull();
    expect(await log.bounds(REF)).toMatchObject({ records: 0, next: toPosition(1n, 1n, 0) });
    await meta.put('end', bytes(''), 'any');
    await watching;
    expect(seen.filter((key) => !key.startsWith(KEYS_PREFIX))).toEqual(['end']);
  });
});

describe.each(ALL_ENGINES)('$name: the fence', (engine) => {
  const bench = benches(engine);

  it.each([0, 1, 2, 3])(
    'acknowledges exactly what can be read, with 8 racing writers (%i)',
    async (turns) => {
      const { log } = await bench().open();
      await log.createShard(REF, FOREVER);
      const acknowledged: string[] = [];
      let isFenced = false;
      let late = 0;
      const writer = async (lane: string) => {
        for (let ordinal = 1n; ; ordinal += 1n) {
          const input = laneBlock(lane, ordinal, ordinal);
          const answer = await outcome(log.append(REF, input));
          if (answer === 'SHARD_CLOSED') return;
          if (typeof answer === 'string') throw new Error(answer);
          if (isFenced) late += 1;
          acknowledged.push(hex(input.block));
          // The model answers at once: without a turn of the event loop nobody else would run.
          if (!engine.isDurable) await new Promise(setImmediate);
        }
      };
      const writers = Array.from({ length: 8 }, (_, index) => writer(`lane-${index}`));
      for (let turn = 0; turn < turns * 3; turn += 1) await new Promise(setImmediate);
      const { last, lanes } = await log.closeShard(REF);
      // What was acknowledged before has reached its writer by then.
      await new Promise(setImmediate);
      isFenced = true;
      await Promise.all(writers);
      expect(late).toBe(0);
      const readable = await allBlocks(log, REF);
      expect(readable.toSorted()).toEqual(acknowledged.toSorted());
      expect(last).toBe((await log.bounds(REF)).last);
      expect(lanes.reduce((sum, lane) => sum + Number(lane.last), 0)).toBe(acknowledged.length);
      expect(await log.closeShard(REF)).toEqual({ last, lanes });
    },
  );

  it('gives the lanes to the children, which go on behind them', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    await log.append(REF, laneBlock('b', 1n, 4n, { tag: bytes('tag of b') }));
    await log.append(REF, laneBlock('a', 1n, 7n));
    const { last, lanes } = await log.closeShard(REF);
    expect(lanes.map(({ lane }) => lane)).toEqual(['a', 'b']);
    const child = { ...REF, shardId: 'child' };
    await log.createShard(child, { ...FOREVER, ...(last === null ? {} : { after: last }), lanes });
    expect(await log.lane(child, 'b')).toEqual(await log.lane(REF, 'b'));
    expect(await log.append(child, laneBlock('b', 3n, 4n))).toMatchObject({ duplicate: true });
    expect(await outcome(log.append(child, laneBlock('a', 9n, 9n)))).toBe('LANE_GAP');
    const { first } = await log.append(child, laneBlock('a', 8n, 9n));
    expect(first > (last ?? 0n)).toBe(true);
    expect(await outcome(log.append(REF, laneBlock('a', 8n, 9n)))).toBe('SHARD_CLOSED');
  });

  it('has no last record when none was written or all are gone', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    expect(await log.closeShard(REF)).toEqual({ last: null, lanes: [] });
    expect((await log.readBlocks(REF, START_POSITION, { blocks: 1, bytes: 1 })).closedEnd).toBe(true);
  });
});

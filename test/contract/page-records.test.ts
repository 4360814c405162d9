// Goal: a page has no more blocks than it takes for the records that were asked for. Method: every engine.
import { describe, expect, it } from 'vitest';
import { START_POSITION, nextPosition, toPosition } from '../../stream/position.ts';
import { ENGINES, REF, benches, block } from './engines.ts';

const LARGE = { blocks: 100, bytes: 1e9 };

describe.each(ENGINES)('$name: pages by records', (engine) => {
  const bench = benches(engine);

  it('ends with the block that completes them, counted from where reading starts', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, { retentionMs: Infinity });
    for (let index = 0; index < 5; index += 1) await log.append(REF, block(10, `${index}`));
    const count = async (records: number, from = START_POSITION): Promise<number> =>
      (await log.readBlocks(REF, from, { ...LARGE, records })).blocks.length;
    expect(await count(1)).toBe(1);
    expect(await count(10)).toBe(1);
    expect(await count(11)).toBe(2);
    expect(await count(1_000)).toBe(5);
    const middle = toPosition(1n, 1n, 4);
    expect(await count(6, middle)).toBe(1);
    expect(await count(7, middle)).toBe(2);
    const page = await log.readBlocks(REF, middle, { ...LARGE, records: 7 });
    expect(page.next).toBe(toPosition(1n, 3n, 0));
    expect(page.nextArrivalMs).not.toBeNull();
    expect(await count(1, nextPosition(toPosition(1n, 1n, 9)))).toBe(1);
  });
});

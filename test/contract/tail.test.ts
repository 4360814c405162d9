// Goal: whoever follows a shard gets every block once, in order, and is let go when there is nothing more to come.
import { describe, expect, it } from 'vitest';
import type { ShardLog } from '../../stream/ports.ts';
import { START_POSITION, afterBlock } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import { ALL_ENGINES, REF, benches, block, hex, outcome } from './engines.ts';

const FOREVER = { retentionMs: Infinity };

async function follow(
  log: ShardLog,
  from: Position,
  signal: AbortSignal,
  count = Infinity,
): Promise<string[]> {
  const seen: string[] = [];
  for await (const page of log.tail(REF, from, signal)) {
    seen.push(...page.blocks.map((stored) => hex(stored.block)));
    if (seen.length >= count) break;
  }
  return seen;
}

describe.each(ALL_ENGINES)('$name: tail', (engine) => {
  const bench = benches(engine);

  it('is gapless and without duplicates while others write, and ends with the closed shard', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const never = new AbortController().signal;
    const sent: string[] = [];
    const followers = [follow(log, START_POSITION, never), follow(log, START_POSITION, never)];
    for (let round = 0; round < 30; round += 1) {
      const inputs = Array.from({ length: round % 4 }, (_, index) => block(1, `${round}.${index}`));
      sent.push(...inputs.map((input) => hex(input.block)));
      await Promise.all(inputs.map((input) => log.append(REF, input)));
      if (round % 10 === 5) followers.push(follow(log, START_POSITION, never));
    }
    await log.closeShard(REF);
    for (const seen of await Promise.all(followers)) expect(seen).toEqual(sent);
  });

  it('goes on from the last block it gave', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const firsts: Position[] = [];
    for (let index = 0; index < 5; index += 1)
      firsts.push((await log.append(REF, block(1, `${index}`))).first);
    await log.closeShard(REF);
    const never = new AbortController().signal;
    const rest = await follow(log, afterBlock(firsts[2] ?? START_POSITION), never);
    expect(rest).toEqual([3, 4].map((index) => hex(block(1, `${index}`).block)));
  });

  it('ends when it is aborted, at once and while it waits', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    await log.append(REF, block());
    const stop = new AbortController();
    const following = follow(log, START_POSITION, stop.signal);
    await new Promise(setImmediate);
    stop.abort();
    expect(await following).toHaveLength(1);
    expect(await follow(log, START_POSITION, AbortSignal.abort())).toEqual([]);
  });

  it('ends at once on a closed shard without blocks', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const following = follow(log, START_POSITION, new AbortController().signal);
    await log.closeShard(REF);
    expect(await following).toEqual([]);
  });

  it('is told that the shard was dropped, or the store closed', async () => {
    const opened = bench();
    const store = await opened.open();
    const other = { ...REF, shardId: 'other' };
    await store.log.createShard(REF, FOREVER);
    await store.log.createShard(other, FOREVER);
    const never = new AbortController().signal;
    const dropped = outcome(follow(store.log, START_POSITION, never));
    await store.log.dropShard(REF);
    expect(await dropped).toBe('SHARD_NOT_FOUND');
    const closed = (async () => {
      for await (const page of store.log.tail(other, START_POSITION, never)) expect(page).toBeNull();
    })();
    const answer = outcome(closed);
    await store.close();
    expect(await answer).toBe('STORAGE_CLOSED');
  });
});

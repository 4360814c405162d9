// Goal: blocks are kept in order without gaps and found by every kind of position. Method: one suite, every engine.
import { describe, expect, it } from 'vitest';
import {
  START_POSITION,
  afterBlock,
  nextPosition,
  positionParts,
  toPosition,
} from '../../stream/position.ts';
import { BLOCK_HEADER_BYTES } from '../../stream/block-header.ts';
import { STORED_BLOCK_BYTES_MAX } from '../../stream/limits.ts';
import type { AppendInput } from '../../stream/ports.ts';
import { ALL_ENGINES, REF, START_MS, allBlocks, benches, block, hex, outcome } from './engines.ts';

const ALL = { blocks: 1_000, bytes: 1e9 };
const FOREVER = { retentionMs: Infinity };

/** A header and zeros: no real block is as large as an engine takes. */
function blockOfSize(length: number): Uint8Array {
  const large = Buffer.alloc(length);
  large.set(block().block.subarray(0, BLOCK_HEADER_BYTES));
  large.writeUInt32LE(length, 12);
  large.writeUInt32LE(length - BLOCK_HEADER_BYTES, 16);
  return large;
}

describe.each(ALL_ENGINES)('$name: order', (engine) => {
  const bench = benches(engine);

  it('keeps blocks in the order of the calls, contiguous, byte for byte', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const sent = Array.from({ length: 50 }, (_, index) => block((index % 5) + 1, `block ${index}`));
    const results = await Promise.all(sent.map((input) => log.append(REF, input)));
    expect(await allBlocks(log, REF)).toEqual(sent.map((input) => hex(input.block)));
    const commits = results.map(({ first }) => positionParts(first).commit);
    expect(commits).toEqual(sent.map((_, index) => BigInt(index + 1)));
  });

  it('keeps shards apart, and streams with the same shard', async () => {
    const { log } = await bench().open();
    const refs = ['a', 'b'].flatMap((streamId) => ['0', '1'].map((shardId) => ({ streamId, shardId })));
    for (const ref of refs) await log.createShard(ref, FOREVER);
    await Promise.all(refs.map((ref) => log.append(ref, block(1, `${ref.streamId}${ref.shardId}`))));
    for (const ref of refs) {
      expect(await allBlocks(log, ref)).toEqual([hex(block(1, `${ref.streamId}${ref.shardId}`).block)]);
    }
  });

  it('does not keep the buffer a caller appended, and gives copies', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const mine = block(1, 'mine');
    const asSent = hex(mine.block);
    await log.append(REF, mine);
    mine.block.fill(0);
    const page = await log.readBlocks(REF, START_POSITION, ALL);
    expect(page.blocks.map((stored) => hex(stored.block))).toEqual([asSent]);
    page.blocks[0]?.block.fill(1);
    expect(await allBlocks(log, REF)).toEqual([asSent]);
  });

  it('counts what it has', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const inputs = [block(3, 'a'), block(2, 'b')];
    for (const input of inputs) await log.append(REF, input);
    const sizeOf = (input: AppendInput | undefined) => (input?.block.length ?? 0) + engine.sealBytes;
    const bytes = inputs.reduce((sum, input) => sum + sizeOf(input), 0);
    expect(await log.bounds(REF)).toEqual({
      first: toPosition(1n, 1n, 0),
      last: toPosition(1n, 2n, 1),
      next: toPosition(1n, 3n, 0),
      lastArrivalMs: START_MS,
      closed: false,
      records: 5,
      bytes,
      totalRecords: 5,
      recordsBefore: 0,
      lostRecords: 0,
    });
    const { blocks } = await log.readBlocks(REF, START_POSITION, ALL);
    expect(blocks.map(({ storedBytes }) => storedBytes)).toEqual(inputs.map(sizeOf));
    expect(blocks.map((stored) => [stored.cumulativeRecords, stored.cumulativeBytes])).toEqual([
      [3, sizeOf(inputs[0])],
      [5, bytes],
    ]);
  });

  it('refuses a block larger than it takes and goes on', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    const { blockBytesMax } = log.caps;
    expect(blockBytesMax).toBe(STORED_BLOCK_BYTES_MAX - engine.sealBytes);
    const large = { block: new Uint8Array(blockBytesMax + 1), recordCount: 1 };
    expect(await outcome(log.append(REF, large))).toBe('BLOCK_TOO_LARGE');
    await log.append(REF, { block: blockOfSize(blockBytesMax), recordCount: 1 });
    expect((await log.bounds(REF)).bytes).toBe(STORED_BLOCK_BYTES_MAX);
  });
});

describe.each(ALL_ENGINES)('$name: positions', (engine) => {
  const bench = benches(engine);

  /** Three blocks of three records, one a second, the first one trimmed. */
  async function trimmed() {
    const opened = bench();
    const store = await opened.open();
    await store.log.createShard(REF, FOREVER);
    for (let index = 0; index < 3; index += 1) {
      opened.clock.ms = START_MS + index * 1_000;
      await store.log.append(REF, block(3, `block ${index}`));
    }
    await store.log.trim(REF, toPosition(1n, 2n, 0));
    return { log: store.log };
  }
  const firstRead = async (from: bigint, log: Awaited<ReturnType<typeof trimmed>>['log']) =>
    (await log.readBlocks(REF, from as typeof START_POSITION, ALL)).blocks[0]?.first ?? null;

  it('reads from the block that holds a position, wherever it is', async () => {
    const { log } = await trimmed();
    const second = toPosition(1n, 2n, 0);
    const third = toPosition(1n, 3n, 0);
    expect(await firstRead(START_POSITION, log)).toBe(second);
    expect(await firstRead(toPosition(1n, 1n, 2), log)).toBe(second);
    expect(await firstRead(toPosition(1n, 2n, 1), log)).toBe(second);
    expect(await firstRead(toPosition(1n, 2n, 3), log)).toBe(third);
    expect(await firstRead(nextPosition(toPosition(1n, 2n, 2)), log)).toBe(third);
    expect(await firstRead(afterBlock(second), log)).toBe(third);
    expect(await firstRead(toPosition(1n, 3n, 2), log)).toBe(third);
    expect(await firstRead(afterBlock(third), log)).toBeNull();
    expect(await firstRead(toPosition(1n, 99n, 0), log)).toBeNull();
    expect(await firstRead(toPosition(0n, 99n, 0), log)).toBe(second);
    expect(await firstRead(toPosition(2n, 0n, 0), log)).toBeNull();
  });

  it('goes on where it stopped, never beyond what was seen', async () => {
    const { log } = await trimmed();
    const page = await log.readBlocks(REF, START_POSITION, { blocks: 1, bytes: 1e9 });
    expect([page.blocks.length, page.next, page.nextArrivalMs, page.closedEnd]).toEqual([
      1,
      toPosition(1n, 3n, 0),
      START_MS + 2_000,
      false,
    ]);
    const rest = await log.readBlocks(REF, page.next, ALL);
    expect([rest.blocks.length, rest.next, rest.nextArrivalMs]).toEqual([1, toPosition(1n, 4n, 0), null]);
    const future = await log.readBlocks(REF, toPosition(1n, 99n, 0), ALL);
    expect(future.next).toBe(toPosition(1n, 4n, 0));
  });

  it('gives at least one block whatever the bounds are', async () => {
    const { log } = await trimmed();
    for (const max of [
      { blocks: 1, bytes: 1 },
      { blocks: 100, bytes: 0 },
      { blocks: 100, bytes: 1 },
    ]) {
      expect((await log.readBlocks(REF, START_POSITION, max)).blocks.length).toBe(1);
    }
  });

  it('finds the first arrival at or behind a time, the next position when there is none', async () => {
    const { log } = await trimmed();
    expect(await log.seekTime(REF, 0)).toBe(toPosition(1n, 2n, 0));
    expect(await log.seekTime(REF, START_MS + 1_000)).toBe(toPosition(1n, 2n, 0));
    expect(await log.seekTime(REF, START_MS + 1_001)).toBe(toPosition(1n, 3n, 0));
    expect(await log.seekTime(REF, START_MS + 2_000)).toBe(toPosition(1n, 3n, 0));
    expect(await log.seekTime(REF, START_MS + 2_001)).toBe(toPosition(1n, 4n, 0));
  });

  it('finds the first of equal times', async () => {
    const opened = bench();
    const { log } = await opened.open();
    await log.createShard(REF, FOREVER);
    await log.append(REF, block());
    opened.clock.ms += 5;
    for (let index = 0; index < 20; index += 1) await log.append(REF, block());
    opened.clock.ms += 5;
    await log.append(REF, block());
    expect(await log.seekTime(REF, START_MS + 1)).toBe(toPosition(1n, 2n, 0));
    expect(await log.seekTime(REF, START_MS + 5)).toBe(toPosition(1n, 2n, 0));
    expect(await log.seekTime(REF, START_MS + 6)).toBe(toPosition(1n, 22n, 0));
  });

  it('finds records by their ordinal, trimmed and future ones too', async () => {
    const { log } = await trimmed();
    expect(await log.seekOrdinal(REF, 1n)).toBe(toPosition(1n, 2n, 0));
    expect(await log.seekOrdinal(REF, 4n)).toBe(toPosition(1n, 2n, 0));
    expect(await log.seekOrdinal(REF, 6n)).toBe(toPosition(1n, 2n, 2));
    expect(await log.seekOrdinal(REF, 7n)).toBe(toPosition(1n, 3n, 0));
    expect(await log.seekOrdinal(REF, 9n)).toBe(toPosition(1n, 3n, 2));
    expect(await log.seekOrdinal(REF, 10n)).toBe(toPosition(1n, 4n, 0));
    expect(await log.seekOrdinal(REF, 1_000n)).toBe(toPosition(1n, 4n, 0));
  });

  it('trims whole blocks, says what it forgot, and shows it at once', async () => {
    const { log } = await trimmed();
    expect(await log.trim(REF, toPosition(1n, 2n, 2))).toEqual({ blocks: 0, records: 0, bytes: 0 });
    const size = block(3, 'block 0').block.length + engine.sealBytes;
    expect(await log.trim(REF, nextPosition(toPosition(1n, 2n, 2)))).toEqual({
      blocks: 1,
      records: 3,
      bytes: size,
    });
    expect(await log.bounds(REF)).toMatchObject({
      first: toPosition(1n, 3n, 0),
      records: 3,
      totalRecords: 9,
    });
    expect(await log.trim(REF, afterBlock(toPosition(1n, 3n, 0)))).toEqual({
      blocks: 1,
      records: 3,
      bytes: size,
    });
    expect(await log.bounds(REF)).toMatchObject({
      first: null,
      last: null,
      next: toPosition(1n, 4n, 0),
      records: 0,
      bytes: 0,
      totalRecords: 9,
    });
    const { first } = await log.append(REF, block());
    expect(first).toBe(toPosition(1n, 4n, 0));
    expect(await log.bounds(REF)).toMatchObject({ first, records: 1, totalRecords: 10 });
  });
});

describe.each(ALL_ENGINES)('$name: the life of a shard', (engine) => {
  const bench = benches(engine);

  it('creates once: a second call changes nothing', async () => {
    const { log } = await bench().open();
    await Promise.all([log.createShard(REF, FOREVER), log.createShard(REF, FOREVER)]);
    const { first } = await log.append(REF, block());
    await log.createShard(REF, { retentionMs: 1, after: toPosition(9n, 9n, 9) });
    expect(await log.bounds(REF)).toMatchObject({ first, records: 1 });
  });

  it('knows no shard that was not created or is dropped', async () => {
    const { log } = await bench().open();
    const calls = () => [
      log.append(REF, block()),
      log.bounds(REF),
      log.readBlocks(REF, START_POSITION, ALL),
      log.seekTime(REF, 0),
      log.seekOrdinal(REF, 1n),
      log.lane(REF, 'l'),
      log.closeShard(REF),
      log.trim(REF, START_POSITION),
      log.setRetention(REF, 5),
    ];
    const answers = () => Promise.all(calls().map((call) => outcome<unknown>(call)));
    expect(new Set(await answers())).toEqual(new Set(['SHARD_NOT_FOUND']));
    await log.createShard(REF, FOREVER);
    await log.append(REF, block());
    await log.dropShard(REF);
    await log.dropShard(REF);
    expect(new Set(await answers())).toEqual(new Set(['SHARD_NOT_FOUND']));
  });

  it('starts anew when a dropped shard is created again', async () => {
    const { log } = await bench().open();
    await log.createShard(REF, FOREVER);
    await Promise.all(Array.from({ length: 600 }, (_, index) => log.append(REF, block(1, `${index}`))));
    await log.append(REF, { ...block(), lane: { lane: 'l', first: 1n, last: 1n, tag: new Uint8Array() } });
    const racing = [log.append(REF, block()), log.dropShard(REF), log.createShard(REF, FOREVER)];
    await Promise.all(racing);
    expect(await log.bounds(REF)).toMatchObject({ first: null, records: 0, totalRecords: 0 });
    expect(await log.lane(REF, 'l')).toBeNull();
    await log.append(REF, block(1, 'new'));
    expect(await allBlocks(log, REF)).toEqual([hex(block(1, 'new').block)]);
  });

  it('starts a child behind its parents, in their epoch', async () => {
    const { log } = await bench().open();
    const after = toPosition(7n, 41n, 3);
    await log.createShard(REF, { ...FOREVER, after });
    const { first } = await log.append(REF, block());
    expect(first).toBe(toPosition(7n, 42n, 0));
    expect(first > after).toBe(true);
  });
});

// Goal: records go in and come out, one block for each log and commit, numbered without a gap. Method: every engine.
import { describe, expect, it } from 'vitest';
import { decodeBlock } from '../../stream/block.ts';
import { parseHeader } from '../../stream/block-header.ts';
import { BLOCK_BYTES_MAX, META_VALUE_BYTES_MAX, RECORD_BYTES_MAX } from '../../stream/limits.ts';
import { START_POSITION, afterBlock, nextPosition, positionParts } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import type { ShardLog } from '../../stream/ports.ts';
import type { RecordInput } from '../../stream/record.ts';
import { codecFor } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import { blockOf, numberedRecords } from '../blocks.ts';
import { ALL_ENGINES, REF, benches, bytes, outcome, text } from './engines.ts';

const ALL = { blocks: 1_000, bytes: 1e9 };
const LANE = { class: 'normal', isLane: true } as const;

function record(data: string | Uint8Array, partitionKey = 'device'): RecordInput {
  return { partitionKey, data: typeof data === 'string' ? bytes(data) : data };
}

async function readAll(log: RecordLog, from: Position, records: number): Promise<string[]> {
  const seen: string[] = [];
  for (let next = from; ;) {
    const page = await log.read(REF, next, { records, bytes: 1e6 });
    seen.push(...page.records.map(({ data }) => text(data) ?? ''));
    if (page.records.length === 0) return seen;
    next = page.next;
  }
}

/** First ordinal and record count of every block. */
async function ordinals(log: ShardLog): Promise<[bigint, number][]> {
  const { blocks } = await log.readBlocks(REF, START_POSITION, ALL);
  return blocks.map(({ block }) => {
    const { firstOrdinal, recordCount } = parseHeader(block);
    return [firstOrdinal, recordCount];
  });
}

describe.each(ALL_ENGINES)('$name: RecordLog', (engine) => {
  const bench = benches(engine);

  async function open(pendingBytesMax = 1e9) {
    const opened = bench();
    const store = await opened.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    const options = { clockSync: () => 'ntp' as const, pendingBytesMax };
    const records = new RecordLog(store.log, openRunIdentity(), opened.clock, nodeDigest, options);
    return { opened, store, records };
  }

  it('commits what waits in one block, in the order of the calls, with each record’s position', async () => {
    const { records, store } = await open();
    const calls = Array.from({ length: 40 }, (_, call) =>
      records.append(REF, [record(`${call}.0`), record(`${call}.1`, `key ${call}`)], LANE),
    );
    const positions = (await Promise.all(calls)).flatMap((appended) => [...appended]);
    expect(await ordinals(store.log)).toEqual([[1n, 80]]);
    expect(positions.map((position) => positionParts(position).index)).toEqual([...Array(80).keys()]);
    const expected = Array.from({ length: 80 }, (_, index) => `${index >> 1}.${index & 1}`);
    expect(await readAll(records, START_POSITION, 7)).toEqual(expected);
    for (const index of [0, 1, 39, 78, 79]) {
      expect(await readAll(records, positions[index] ?? START_POSITION, 1_000)).toEqual(
        expected.slice(index),
      );
      const behind = nextPosition(positions[index] ?? START_POSITION);
      expect(await readAll(records, behind, 1_000)).toEqual(expected.slice(index + 1));
    }
  });

  it.each([1, 2, 3, 7, 1_000])(
    'is followed in pages of %i records, also from mid-block on',
    async (count) => {
      const { records, store } = await open();
      const sent: string[] = [];
      const appended: Position[] = [];
      const never = new AbortController().signal;
      const follow = async (from: Position): Promise<string[]> => {
        const seen: string[] = [];
        for await (const page of records.tail(REF, from, { records: count, bytes: 1e6 }, never)) {
          expect(page.records.length).toBeLessThanOrEqual(count);
          seen.push(...page.records.map(({ data }) => text(data) ?? ''));
          // What came is at or below this place, what comes lies above it.
          for (const { position } of page.records) expect(position < page.next).toBe(true);
        }
        return seen;
      };
      const whole = follow(START_POSITION);
      for (let call = 0; call < 12; call += 1) {
        const batch = Array.from({ length: 1 + (call % 5) }, (_, index) => `${call}.${index}`);
        sent.push(...batch);
        appended.push(
          ...(await records.append(
            REF,
            batch.map((one) => record(one)),
            LANE,
          )),
        );
      }
      await store.log.closeShard(REF);
      expect(await whole).toEqual(sent);
      for (const index of [0, 1, 2, 8, sent.length - 1]) {
        const at = appended[index] ?? START_POSITION;
        expect(await follow(at)).toEqual(sent.slice(index));
        expect(await follow(nextPosition(at))).toEqual(sent.slice(index + 1));
        expect(await follow(afterBlock(at))).toEqual(
          sent.slice(index).filter((one) => one.split('.')[0] !== sent[index]?.split('.')[0]),
        );
      }
    },
  );

  it('follows records larger than a page one by one', async () => {
    const { records, store } = await open();
    await records.append(REF, [record('aaaa'), record('b'), record('cccccccc')], LANE);
    await store.log.closeShard(REF);
    const pages: number[] = [];
    const never = new AbortController().signal;
    for await (const page of records.tail(REF, START_POSITION, { records: 10, bytes: 1 }, never))
      pages.push(page.records.length);
    expect(pages).toEqual([1, 1, 1]);
  });

  it('reads over blocks of one size, page by page of any size', async () => {
    const { records } = await open();
    const sent = Array.from({ length: 24 }, (_, index) => `${index}`);
    for (let index = 0; index < sent.length; index += 2) {
      await records.append(REF, [record(sent[index] ?? ''), record(sent[index + 1] ?? '')], LANE);
    }
    for (const count of [1, 2, 3, 4, 5, 7, 24]) {
      expect(await readAll(records, START_POSITION, count)).toEqual(sent);
    }
  });

  it('reads to the tip and no further, with the arrival of what is unread', async () => {
    const { opened, records } = await open();
    const firstMs = opened.clock.ms;
    await records.append(REF, [record('a'), record('b')], LANE);
    opened.clock.ms += 1_000;
    await records.append(REF, [record('c')], LANE);
    const arrival = async (count: number) =>
      (await records.read(REF, START_POSITION, { records: count, bytes: 1e6 })).nextArrivalMs;
    expect([await arrival(1), await arrival(2), await arrival(3), await arrival(4)]).toEqual([
      firstMs,
      firstMs + 1_000,
      null,
      null,
    ]);
    const tip = await records.read(REF, START_POSITION, { records: 9, bytes: 1e6 });
    const empty = await records.read(REF, tip.next, { records: 9, bytes: 1e6 });
    expect([empty.records, empty.next, empty.closedEnd]).toEqual([[], tip.next, false]);
  });

  it('gives at least one record, and says when a closed log has ended', async () => {
    const { records, store } = await open();
    const large = new Uint8Array(5_000);
    const [first, second] = await records.append(REF, [record(large), record(large)], LANE);
    await store.log.closeShard(REF);
    const page = await records.read(REF, START_POSITION, { records: 10, bytes: 1 });
    expect([page.records.length, page.next, page.closedEnd]).toEqual([
      1,
      nextPosition(first ?? START_POSITION),
      false,
    ]);
    const rest = await records.read(REF, page.next, { records: 10, bytes: 1 });
    expect([rest.records[0]?.position, rest.closedEnd]).toEqual([second, true]);
  });

  it('keeps a record of 10 MiB, in a block of its own', async () => {
    const { records, store } = await open();
    const large = new Uint8Array(RECORD_BYTES_MAX).fill(7);
    const [, position] = (
      await Promise.all(
        ['before', large, 'behind'].map((data) => records.append(REF, [record(data, 'k'.repeat(256))], LANE)),
      )
    ).flatMap((appended) => [...appended]);
    expect(await ordinals(store.log)).toEqual([
      [1n, 1],
      [2n, 1],
      [3n, 1],
    ]);
    const page = await records.read(REF, position ?? START_POSITION, { records: 1, bytes: 1 });
    expect(Buffer.compare(page.records[0]?.data ?? bytes(''), large)).toBe(0);
    const tooLarge = records.append(REF, [record(new Uint8Array(RECORD_BYTES_MAX + 1))], LANE);
    expect(await outcome(tooLarge)).toBe('RECORD_TOO_LARGE');
  });

  it('cuts at 1 MiB, keeps ordinals contiguous and side writes with the last block', async () => {
    const { records, store } = await open();
    const many = Array.from({ length: 300 }, (_, index) => record(new Uint8Array(9_000).fill(index)));
    await records.append(REF, many, { ...LANE, with: [{ key: 'k', value: bytes('v') }] });
    const { blocks } = await store.log.readBlocks(REF, START_POSITION, ALL);
    expect(blocks.length).toBeGreaterThan(2);
    expect(blocks.every(({ block }) => block.length <= BLOCK_BYTES_MAX)).toBe(true);
    let next = 1n;
    for (const { block } of blocks) {
      const { header, records: inside } = decodeBlock(block, nodeDigest);
      expect(header.firstOrdinal).toBe(next);
      next += BigInt(inside.length);
    }
    expect(next).toBe(301n);
    expect(text((await store.meta.get('k'))?.value)).toBe('v');
  });

  it('keeps notes beside the block that ends their call, however many wait', async () => {
    const { records, store } = await open();
    const third = new Uint8Array(400_000);
    // The fourth call ends in the second block: its note goes there.
    await Promise.all(
      ['a', 'b', '', 'd', 'e'].map((note) =>
        records.append(
          REF,
          [record(third)],
          note === '' ? LANE : { ...LANE, note: bytes(note.padEnd(32, note)) },
        ),
      ),
    );
    const notes = async () =>
      (await store.log.readBlocks(REF, START_POSITION, ALL)).blocks.map(({ note }) => text(note));
    expect(await notes()).toEqual(['a'.repeat(32) + 'b'.repeat(32), 'd'.repeat(32), 'e'.repeat(32)]);
    await store.log.trim(REF, (await store.log.bounds(REF)).next);
    const many = Array.from({ length: 70_000 }, () =>
      records.append(REF, [record('', 'k')], { ...LANE, note: bytes('n'.repeat(32)) }),
    );
    await Promise.all(many);
    expect((await notes()).reduce((sum, note) => sum + (note?.length ?? 0), 0)).toBe(70_000 * 32);
  });

  it('refuses more than may wait, and takes one of any size when nothing waits', async () => {
    const { records } = await open(1_000);
    const large = records.append(REF, [record(new Uint8Array(5_000))], LANE);
    expect(await outcome(records.append(REF, [record('x')], LANE))).toBe('BUSY');
    await large;
    expect(records.pendingBytes).toBe(0);
    await records.append(REF, [record('x')], LANE);
  });

  it('does not let one caller’s mistake reach the others', async () => {
    const { records, store } = await open();
    const answers = await Promise.all([
      outcome(records.append(REF, [record('a')], LANE)),
      outcome(records.append(REF, [record('b', '')], LANE)),
      outcome(records.append(REF, [record('c', 'k'.repeat(257))], LANE)),
      outcome(
        records.append(REF, [record('d')], {
          ...LANE,
          with: [{ key: 'k', value: new Uint8Array(META_VALUE_BYTES_MAX + 1) }],
        }),
      ),
      outcome(records.append(REF, [record('e')], LANE)),
    ]);
    expect(answers.map((answer) => (typeof answer === 'string' ? answer : 'stored'))).toEqual([
      'stored',
      'BLOCK_MALFORMED',
      'BLOCK_MALFORMED',
      'META_VALUE_TOO_LARGE',
      'stored',
    ]);
    expect(await ordinals(store.log)).toEqual([[1n, 2]]);
  });

  it('numbers classes of one log together', async () => {
    const { records, store } = await open();
    for (let round = 0; round < 3; round += 1) {
      await Promise.all([
        records.append(REF, [record('a')], LANE),
        records.append(REF, [record('b'), record('c')], { class: 'alarm', isLane: true }),
        records.append(REF, [record('d')], LANE),
      ]);
    }
    expect(await ordinals(store.log)).toEqual([
      [1n, 2],
      [3n, 2],
      [5n, 2],
      [7n, 2],
      [9n, 2],
      [11n, 2],
    ]);
  });

  it('goes on behind all records ever written when everything was trimmed, also for another writer', async () => {
    const { opened, records, store } = await open();
    const [position] = await records.append(REF, [record('a'), record('b')], LANE);
    await store.log.trim(REF, afterBlock(position ?? START_POSITION));
    await records.append(REF, [record('c')], LANE);
    await store.log.trim(REF, (await store.log.bounds(REF)).next);
    const again = engine.isDurable ? await opened.reopen() : store;
    const writer = new RecordLog(again.log, openRunIdentity(), opened.clock, nodeDigest);
    await writer.append(REF, [record('d')], LANE);
    expect(await ordinals(again.log)).toEqual([[4n, 1]]);
  });

  it('starts anew with a shard that was dropped and created again', async () => {
    const { records, store } = await open();
    await records.append(REF, [record('a'), record('b')], LANE);
    await store.log.dropShard(REF);
    expect(await outcome(records.append(REF, [record('c')], LANE))).toBe('SHARD_NOT_FOUND');
    await store.log.createShard(REF, { retentionMs: Infinity });
    await records.append(REF, [record('d')], LANE);
    expect(await ordinals(store.log)).toEqual([[1n, 1]]);
  });

  it('fills a page from as many blocks as it takes, up to its bytes, and goes on behind it', async () => {
    const { records } = await open();
    const texts = Array.from({ length: 60 }, (_, index) => `${index} `.padEnd(30_000, '.'));
    for (const data of texts) await records.append(REF, [record(data)], LANE);
    const seen: string[] = [];
    for (let next = START_POSITION; seen.length < texts.length;) {
      const page = await records.read(REF, next, { records: 1_000, bytes: 1_000_000 });
      const bytes = page.records.reduce((sum, { data }) => sum + data.length, 0);
      expect(bytes).toBeLessThanOrEqual(1_000_000);
      seen.push(...page.records.map(({ data }) => text(data) ?? ''));
      if (seen.length < texts.length) expect(bytes).toBeGreaterThan(960_000);
      next = page.next;
    }
    expect(seen).toEqual(texts);
  });

  it('reads compressed blocks from any record on, beside others that are as is', async () => {
    const { opened, records, store } = await open();
    const options = { clockSync: () => 'ntp' as const, pendingBytesMax: 1e9, compression: codecFor('auto') };
    const compressing = new RecordLog(store.log, openRunIdentity(), opened.clock, nodeDigest, options);
    const texts = Array.from({ length: 300 }, (_, index) => `{"reading":${index}}`);
    for (const [from, writer] of [records, compressing, compressing].entries()) {
      await writer.append(
        REF,
        texts.slice(from * 100, from * 100 + 100).map((data) => record(data)),
        LANE,
      );
    }
    const { blocks } = await store.log.readBlocks(REF, START_POSITION, ALL);
    expect(blocks.map(({ block }) => parseHeader(block).codec)).toEqual([0, 1, 1]);
    for (const reader of [records, compressing]) {
      for (const pageSize of [1, 7, 1_000])
        expect(await readAll(reader, START_POSITION, pageSize)).toEqual(texts);
    }
    await compressing.append(REF, [record('short')], LANE);
    expect(
      parseHeader((await store.log.readBlocks(REF, START_POSITION, ALL)).blocks[3]?.block ?? bytes('')).codec,
    ).toBe(0);
  });

  it('refuses everything that waits when the log is closed, and flushes', async () => {
    const { records, store } = await open();
    const first = records.append(REF, [record('a')], LANE);
    await records.flush();
    expect([...(await first)]).toHaveLength(1);
    await store.log.closeShard(REF);
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => outcome(records.append(REF, [record('b')], LANE))),
    );
    expect(answers).toEqual(['SHARD_CLOSED', 'SHARD_CLOSED', 'SHARD_CLOSED']);
  });

  it('passes over a damaged block, tells of it once, and goes on behind it', async () => {
    const { opened, store } = await open();
    const told: number[] = [];
    const records = new RecordLog(store.log, openRunIdentity(), opened.clock, nodeDigest, {
      clockSync: () => 'ntp' as const,
      pendingBytesMax: 1e9,
      onDamaged: ({ recordCount }) => told.push(recordCount),
    });
    await records.append(REF, [record('before')], LANE);
    const damaged = blockOf(numberedRecords(3), { firstOrdinal: 2n });
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    await store.log.append(REF, { block: damaged, recordCount: 3 });
    await records.append(REF, [record('behind')], LANE);
    for (const count of [1, 2, 100])
      expect(await readAll(records, START_POSITION, count)).toEqual(['before', 'behind']);
    expect(told).toEqual([3]);
  });
});

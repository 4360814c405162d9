// Goal: what goes out is what the server said it reads, whatever the log holds. Method: a lane of blocks in memory, and
// welcomes with and without the list of codecs.
import { describe, expect, it } from 'vitest';
import { parseHeader } from '../../stream/block-header.ts';
import { decodeBlock, encodeBlock } from '../../stream/block.ts';
import { BLOCK_BYTES_MAX, BLOCK_BYTES_TARGET } from '../../stream/limits.ts';
import type { Codec } from '../../stream/ports.ts';
import type { TimedRecord } from '../../stream/record.ts';
import { codecFor, nodeCodecs } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import type { UplinkLane } from '../../sync/ports.ts';
import { serverMessage } from '../../sync/protocol.ts';
import { LaneLink, wireOf } from '../../sync/uplink-lane.ts';
import { FRAME, numberedRecords } from '../blocks.ts';

const INCARNATION = '6a6a6a6a-6a6a-4a6a-8a6a-6a6a6a6a6a6a';
const deflate = codecFor('auto');

function takesOf(welcome: object): readonly number[] {
  const base = { type: 'welcome', token: 't', timeMs: 0, creditBytes: 1_000_000, configVersion: 0 };
  const message = serverMessage.parse({ ...base, ...welcome });
  return message.type === 'welcome' ? message.codecs : [];
}

function laneOf(batches: readonly (readonly TimedRecord[])[], codec: Codec | undefined): UplinkLane {
  let next = 1n;
  const blocks = batches.map((records) => {
    const block = encodeBlock({ ...FRAME, firstOrdinal: next }, records, nodeDigest, codec);
    next += BigInt(records.length);
    return block;
  });
  return {
    stream: 'telemetry',
    class: 'normal',
    incarnation: INCARNATION,
    base: 0n,
    history: { last: next - 1n, runs: [] },
    firstKept: 1n,
    acknowledged: 0n,
    readBlock: async (ordinal) => blocks.find((block) => parseHeader(block).firstOrdinal === ordinal) ?? null,
    acknowledge: () => undefined,
    startIncarnation: async () => undefined,
  };
}

/** The blocks that go out, in order. */
async function sentOver(
  lane: UplinkLane,
  takes: readonly number[],
  preferred: Codec | undefined,
): Promise<Uint8Array[]> {
  const link = new LaneLink(0, lane, nodeDigest, wireOf(nodeCodecs, preferred, takes));
  link.openMessage();
  const known = { incarnation: INCARNATION, last: 0n, runs: [], fingerprint: null };
  await link.opened({ type: 'laneState', lane: 0, ...known });
  const blocks: Uint8Array[] = [];
  for (;;) {
    const block = await link.peek();
    if (block === null) return blocks;
    blocks.push(block);
    link.take({ bytes: block.length } as Parameters<LaneLink['take']>[0]);
  }
}

const small = Array.from({ length: 40 }, () => numberedRecords(40));
const texts = (blocks: readonly Uint8Array[]) =>
  blocks.flatMap((block) =>
    decodeBlock(block, nodeDigest, nodeCodecs).records.map(({ data }) => Buffer.from(data).toString()),
  );
const sent = (batches: readonly (readonly TimedRecord[])[]) =>
  batches.flat().map(({ data }) => Buffer.from(data).toString());
const codecsOf = (blocks: readonly Uint8Array[]) => new Set(blocks.map((block) => parseHeader(block).codec));

describe('blocks on the wire', () => {
  it('are as they lie in the log when the server reads their codec', async () => {
    const large = [numberedRecords(5_000)];
    const lane = laneOf(large, deflate);
    const blocks = await sentOver(lane, takesOf({ codecs: [1] }), deflate);
    expect(blocks).toEqual([await lane.readBlock(1n)]);
    expect(codecsOf(blocks)).toEqual(new Set([1]));
  });

  it('are merged and compressed for a server that reads the codec', async () => {
    for (const stored of [deflate, undefined]) {
      const blocks = await sentOver(laneOf(small, stored), takesOf({ codecs: [1, 2, 9] }), deflate);
      expect(codecsOf(blocks)).toEqual(new Set([1]));
      expect(texts(blocks)).toEqual(sent(small));
      expect(blocks.every((block) => parseHeader(block).rawLength <= BLOCK_BYTES_TARGET)).toBe(true);
      expect(blocks.length).toBeLessThan(small.length);
    }
  });

  it('are without a codec for a server that speaks of none, or of others', async () => {
    for (const welcome of [{}, { codecs: [] }, { codecs: [9] }]) {
      for (const batches of [small, [numberedRecords(30_000)], [numberedRecords(1)]]) {
        const blocks = await sentOver(laneOf(batches, deflate), takesOf(welcome), deflate);
        expect(codecsOf(blocks)).toEqual(new Set([0]));
        expect(texts(blocks)).toEqual(sent(batches));
      }
    }
  });

  it('fit without their codec however well they were compressed', async () => {
    const repeated = Array.from({ length: 16 }, () => ({
      partitionKey: 'k',
      data: new Uint8Array(65_000),
      monotonicUs: 1_000_000n,
    }));
    const batches = [repeated, repeated, repeated];
    for (const takes of [[], [1]]) {
      const blocks = await sentOver(laneOf(batches, deflate), takes, deflate);
      expect(texts(blocks)).toEqual(sent(batches));
      for (const block of blocks)
        expect(parseHeader(block).rawLength + 80).toBeLessThanOrEqual(BLOCK_BYTES_MAX);
    }
  });

  it('are not compressed where that is switched off', async () => {
    const blocks = await sentOver(laneOf(small, undefined), [1], undefined);
    expect(codecsOf(blocks)).toEqual(new Set([0]));
    expect(texts(blocks)).toEqual(sent(small));
  });

  it('refuses a welcome with a list of codecs that is none', () => {
    for (const codecs of ['1', [0], [256], [1.5], Array.from({ length: 17 }, () => 1)]) {
      expect(() => takesOf({ codecs })).toThrow();
    }
  });
});

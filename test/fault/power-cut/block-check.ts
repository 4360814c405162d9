// Every kept block of a shard, walked: envelopes that continue each other, records that are what their calls wrote, notes.
import { decodeBlock } from '../../../stream/block.ts';
import { START_POSITION, positionParts } from '../../../stream/position.ts';
import type { ShardRef, Store, StoredBlock } from '../../../stream/ports.ts';
import { nodeDigest } from '../../../runtime/digest.ts';
import type { Problems } from './expectation.ts';
import { decodePayload, noteOf } from './payload.ts';
import type { Payload } from './payload.ts';

export interface KeptBlock {
  readonly stored: StoredBlock;
  readonly commit: bigint;
  readonly firstOrdinal: number;
  /** Hex. */
  readonly run: string;
  readonly payloads: readonly Payload[];
}

const ALL = { blocks: 1e6, bytes: 1e9 };
const RUN_ID_BYTES = 8;

/** Adds what is wrong with them. */
export async function keptBlocks(store: Store, ref: ShardRef, problems: Problems): Promise<KeptBlock[]> {
  const name = `${ref.streamId}/${ref.shardId}`;
  const { blocks } = await store.log.readBlocks(ref, START_POSITION, ALL);
  const kept = blocks.map((stored) => keptBlock(stored, name, problems));
  for (const [index, block] of kept.entries()) {
    const before = kept[index - 1];
    if (before !== undefined) checkFollows(block, before, name, problems);
  }
  const bounds = await store.log.bounds(ref);
  const records = kept.reduce((sum, { stored }) => sum + stored.recordCount, 0);
  const bytes = kept.reduce((sum, { stored }) => sum + stored.block.length, 0);
  problems.expect(
    bounds.records === records,
    () => `${name}: ${bounds.records} records, ${records} are there`,
  );
  problems.expect(bounds.bytes === bytes, () => `${name}: ${bounds.bytes} bytes, ${bytes} are there`);
  const newest = kept.at(-1)?.stored;
  if (newest === undefined) return kept;
  const total = newest.cumulativeRecords;
  problems.expect(bounds.totalRecords === total, () => `${name}: total ${bounds.totalRecords}, not ${total}`);
  return kept;
}

function keptBlock(stored: StoredBlock, name: string, problems: Problems): KeptBlock {
  const { header, records } = decodeBlock(stored.block, nodeDigest);
  const { commit } = positionParts(stored.first);
  const payloads = records.flatMap(({ data }) => {
    const payload = decodePayload(data);
    problems.expect(payload !== null, () => `${name}: block ${commit} holds a record nobody wrote`);
    return payload === null ? [] : [payload];
  });
  // The notes of the calls whose records end in the block.
  const note = payloads.filter(({ index, count }) => index === count - 1).map(noteOf);
  const found = Buffer.from(stored.note).toString();
  problems.expect(found === note.join(''), () => `${name}: block ${commit} has the note ${found}`);
  const run = Buffer.from(header.blockId).toString('hex', 0, RUN_ID_BYTES);
  return { stored, commit, firstOrdinal: Number(header.firstOrdinal), run, payloads };
}

function checkFollows(block: KeptBlock, before: KeptBlock, name: string, problems: Problems): void {
  const { stored, commit } = block;
  problems.expect(commit === before.commit + 1n, () => `${name}: block ${commit} follows ${before.commit}`);
  const records = before.stored.cumulativeRecords + stored.recordCount;
  problems.expect(stored.cumulativeRecords === records, () => `${name}: block ${commit} miscounts records`);
  const bytes = before.stored.cumulativeBytes + stored.block.length;
  problems.expect(stored.cumulativeBytes === bytes, () => `${name}: block ${commit} miscounts bytes`);
  const isLater = stored.arrivalMs >= before.stored.arrivalMs;
  problems.expect(isLater, () => `${name}: block ${commit} arrived before the one in front of it`);
}

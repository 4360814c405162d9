// The program that is killed at a named call to the disk: one step of a store's life, the same calls in the same order
// whenever it runs. Arguments: the data folder, the file to speak to, the layout, the step.
import { join } from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import type { Store } from '../../stream/ports.ts';
import { blockOf } from '../blocks.ts';
import { encodePayload, noteOf } from './power-cut/payload.ts';
import { openSaid } from './power-cut/said.ts';
import type { ShardState, ShardsSaid } from './power-cut/said.ts';

/** `make`: from nothing to the first record. `append`: several commits. `close`: a record, then an orderly end. */
export const STEPS = ['make', 'append', 'close'] as const;
export type Step = (typeof STEPS)[number];

const REF = { streamId: 's', shardId: '0' };
const LANE = 'x';
/** Enough that the thread of commits comes to calls that the main thread never makes as often. */
const APPENDS: Readonly<Record<Step, number>> = { make: 1, append: 12, close: 1 };
/** Some values share pages, some have their own. */
const SIZES = [30, 6_000, 300, 20_000];

/** What the line says when `acknowledged` records are durable. */
export function saidOf(
  layout: LmdbLayout,
  state: ShardState,
  acknowledged: number,
  submitted: number,
): ShardsSaid {
  const lanes = { [LANE]: { inherited: 0, acknowledged, submitted } };
  return {
    kind: 'shards',
    layout,
    nowMs: systemClock.wallMs(),
    shards: { [REF.shardId]: { state, firstCommit: 1, after: '0', lanes } },
  };
}

async function run(folder: string, said: string, layout: LmdbLayout, step: Step): Promise<void> {
  const say = openSaid(said);
  const store = await openLmdbStore({ path: join(folder, 'log.mdb'), clock: systemClock, layout });
  await store.log.createShard(REF, { retentionMs: Infinity });
  let last = Number((await store.log.lane(REF, LANE))?.last ?? 0n);
  say(saidOf(layout, 'open', last, last));
  for (let index = 0; index < APPENDS[step]; index += 1) {
    last += 1;
    await append(store, last);
    say(saidOf(layout, 'open', last, last));
  }
  if (step === 'close') await store.close();
  process.exit(0);
}

async function append(store: Store, ordinal: number): Promise<void> {
  const caller = `${REF.shardId}/${LANE}`;
  const bytes = SIZES[ordinal % SIZES.length] ?? 0;
  const payload = { caller, call: ordinal, count: 1, index: 0, ordinal, bytes };
  const at = BigInt(ordinal);
  const records = [
    { partitionKey: LANE, data: encodePayload(payload), monotonicUs: systemClock.monotonicUs() },
  ];
  await store.log.append(REF, {
    block: blockOf(records, { firstOrdinal: at }),
    recordCount: 1,
    note: Buffer.from(noteOf(payload)),
    lane: { lane: LANE, first: at, last: at, tag: Buffer.from(`${ordinal}`) },
    with: [{ key: `last/${caller}`, value: Buffer.from(`${ordinal}`) }],
  });
}

const [folder, said, layout, step] = process.argv.slice(2);
if (folder !== undefined && said !== undefined) await run(folder, said, layout as LmdbLayout, step as Step);

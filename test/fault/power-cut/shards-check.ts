// Checks a server's log as a power cut left it: every shard against what was promised, its lanes and side values against
// the records of the same commits; then it goes on writing.
import { isTributaryError } from '../../../stream/errors.ts';
import { positionParts } from '../../../stream/position.ts';
import type { ShardRef, Store } from '../../../stream/ports.ts';
import { blockOf } from '../../blocks.ts';
import { keptBlocks } from './block-check.ts';
import type { KeptBlock } from './block-check.ts';
import type { Problems } from './expectation.ts';
import { encodePayload } from './payload.ts';
import { SHARD_STATES } from './said.ts';
import type { ShardLaneSaid, ShardSaid, ShardState, ShardsSaid } from './said.ts';

export async function checkShards(
  store: Store,
  before: ShardsSaid | null,
  behind: ShardsSaid,
  problems: Problems,
): Promise<void> {
  for (const [id, said] of Object.entries(behind.shards)) {
    await new ShardCheck(store, id, problems).run(before?.shards[id] ?? null, said);
  }
}

class ShardCheck {
  readonly #store: Store;
  readonly #ref: ShardRef;
  readonly #problems: Problems;

  constructor(store: Store, id: string, problems: Problems) {
    this.#store = store;
    this.#ref = { streamId: 's', shardId: id };
    this.#problems = problems;
  }

  async run(before: ShardSaid | null, behind: ShardSaid): Promise<void> {
    const bounds = await this.#bounds();
    if (bounds === null) {
      const mayBeGone = before === null || before.state === 'creating' || has(behind, 'dropping');
      this.#expect(mayBeGone, `is gone, though it is ${before?.state}`);
      return;
    }
    this.#expect(before === null || !has(before, 'dropped'), 'is there again');
    if (before !== null && has(before, 'closed')) this.#expect(bounds.closed, 'is open again');
    if (bounds.closed) this.#expect(has(behind, 'closing'), 'is closed, and nobody asked for it');
    this.#expect(bounds.next >= BigInt(behind.after), 'gives positions of its parent again');
    const commit = Number(positionParts(bounds.first ?? bounds.next).commit);
    this.#expect(commit <= behind.firstCommit, `starts at block ${commit}, not ${behind.firstCommit}`);
    const blocks = await keptBlocks(this.#store, this.#ref, this.#problems);
    for (const [lane, said] of Object.entries(behind.lanes)) {
      await this.#checkLane(lane, blocks, before?.lanes[lane]?.acknowledged ?? said.inherited, said);
    }
    await this.#goOn(bounds.closed);
  }

  async #checkLane(
    lane: string,
    blocks: readonly KeptBlock[],
    least: number,
    said: ShardLaneSaid,
  ): Promise<void> {
    const caller = `${this.#ref.shardId}/${lane}`;
    const own = blocks.filter(({ payloads }) => payloads[0]?.caller === caller);
    const ordinals = own.flatMap(({ payloads }) => payloads.map(({ ordinal }) => ordinal));
    const first = ordinals[0] ?? 0;
    this.#expect(
      ordinals.every((ordinal, at) => ordinal === first + at),
      `lane ${lane} has the ordinals ${ordinals.join(' ')}`,
    );
    const row = await this.#store.log.lane(this.#ref, lane);
    const last = Number(row?.last ?? 0n);
    this.#expect(
      last >= least && last <= said.submitted,
      `lane ${lane} ends at ${last}, not ${least}..${said.submitted}`,
    );
    const newest = own.at(-1);
    if (newest !== undefined) {
      this.#expect(
        ordinals.at(-1) === last,
        `lane ${lane} ends at ${last}, its records at ${ordinals.at(-1)}`,
      );
      const { commit, index } = positionParts(row?.position ?? newest.stored.first);
      const isThere = commit === newest.commit && index === newest.stored.recordCount - 1;
      this.#expect(
        isThere,
        `lane ${lane} points at ${commit}/${index}, its end is in block ${newest.commit}`,
      );
    }
    if (last === said.inherited) return;
    this.#expect(
      Buffer.from(row?.tag ?? []).toString() === `${last}`,
      `lane ${lane} has another tag than ${last}`,
    );
    const entry = await this.#store.meta.get(`last/${caller}`);
    const value = Buffer.from(entry?.value ?? []).toString();
    this.#expect(value === `${last}`, `lane ${lane} ends at ${last}, the value beside it says ${value}`);
  }

  async #goOn(isClosed: boolean): Promise<void> {
    const [lane = ''] = LANES;
    const ordinal = Number((await this.#store.log.lane(this.#ref, lane))?.last ?? 0n) + 1;
    const payload = {
      caller: `${this.#ref.shardId}/${lane}`,
      call: 1,
      count: 1,
      index: 0,
      ordinal,
      bytes: 20,
    };
    const records = [{ partitionKey: lane, data: encodePayload(payload), monotonicUs: 1n }];
    const at = BigInt(ordinal);
    const block = blockOf(records, { firstOrdinal: at });
    const append = { block, recordCount: 1, lane: { lane, first: at, last: at, tag: Buffer.from('') } };
    try {
      const { duplicate } = await this.#store.log.append(this.#ref, append);
      this.#expect(!isClosed && !duplicate, 'takes records though it is closed, or takes none');
    } catch (error) {
      if (!isTributaryError(error)) throw error;
      this.#expect(isClosed && error.code === 'SHARD_CLOSED', `takes no record: ${error.message}`);
    }
  }

  async #bounds(): ReturnType<Store['log']['bounds']> extends Promise<infer Bounds>
    ? Promise<Bounds | null>
    : never {
    try {
      return await this.#store.log.bounds(this.#ref);
    } catch (error) {
      if (isTributaryError(error, 'SHARD_NOT_FOUND')) return null;
      throw error;
    }
  }

  #expect(holds: boolean, text: string): void {
    this.#problems.expect(holds, () => `shard ${this.#ref.shardId}: ${text}`);
  }
}

const LANES = ['x', 'y', 'z'];

function has({ state }: ShardSaid, reached: ShardState): boolean {
  return SHARD_STATES.indexOf(state) >= SHARD_STATES.indexOf(reached);
}

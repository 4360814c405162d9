// The program whose disk is recorded as a server uses it: lanes of several gateways on shards that are trimmed, expire, are
// closed, continued by a child and dropped, all at once. Arguments: the data folder, the file to speak to, a seed, rounds
// of each slot. A slot is a line of shards, each the child of the one before.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { START_POSITION, positionParts, toPosition } from '../../../stream/position.ts';
import type { Position } from '../../../stream/position.ts';
import type { Clock, LaneRow, ShardRef, Store } from '../../../stream/ports.ts';
import { openLmdbStore } from '../../../storage/lmdb/lmdb-store.ts';
import { blockOf } from '../../blocks.ts';
import { randomOf } from '../../seeded-random.ts';
import { encodePayload, noteOf } from './payload.ts';
import { openSaid } from './said.ts';
import type { Said, ShardLaneSaid, ShardSaid, ShardState } from './said.ts';

const STREAM = 's';
const SLOTS = 3;
const LANES = ['x', 'y', 'z'];
const RECORDS_PER_BLOCK_MAX = 5;
const SIZES = [20, 60, 200, 900, 3_000, 12_000];
const RETENTION_MS = 400;
const TICK_MS = 5;
const PAUSE_MS_MAX = 5;

/** Advances with every block, so that blocks expire at moments a seed repeats. */
class TickingClock implements Clock {
  ms = 1_767_225_600_000;

  wallMs(): number {
    return this.ms;
  }

  monotonicUs(): bigint {
    return BigInt(this.ms) * 1_000n;
  }
}

interface ShardCounts {
  readonly ref: ShardRef;
  readonly after: Position;
  state: ShardState;
  firstCommit: number;
  readonly lanes: Map<string, { -readonly [Name in keyof ShardLaneSaid]: number }>;
}

class Run {
  readonly #random: () => number;
  readonly #say: (said: Said) => void;
  readonly #clock = new TickingClock();
  readonly #shards = new Map<string, ShardCounts>();
  /** The shard of each slot that is written to. */
  readonly #heads = new Map<number, ShardCounts>();

  constructor(seed: number, say: (said: Said) => void) {
    this.#random = randomOf(seed);
    this.#say = say;
  }

  async open(path: string, rounds: number): Promise<void> {
    const store = await openLmdbStore({ path, clock: this.#clock, layout: 'shared', sweepMs: 50 });
    await this.#speak(store);
    await Promise.all(Array.from({ length: SLOTS }, (_, slot) => this.#live(store, slot, rounds)));
    await this.#speak(store);
    await store.close();
  }

  async #live(store: Store, slot: number, rounds: number): Promise<void> {
    const head = this.#heads.get(slot) ?? (await this.#create(store, slot, START_POSITION, []));
    this.#heads.set(slot, head);
    for (let round = 0; round < rounds; round += 1) {
      const shard = this.#heads.get(slot) ?? head;
      await Promise.all(LANES.map((lane) => this.#append(store, shard, lane)));
      const chance = this.#random();
      if (chance < 0.2) await this.#trim(store, shard);
      else if (chance < 0.3) await store.log.setRetention(shard.ref, RETENTION_MS);
      else if (chance < 0.4) store.meta.putLazy(`lazy/${slot}`, Buffer.from(`${round}`));
      else if (chance < 0.55) await this.#replace(store, slot, shard);
      await sleep(this.#random() * PAUSE_MS_MAX);
    }
  }

  async #create(
    store: Store,
    slot: number,
    after: Position,
    lanes: readonly LaneRow[],
  ): Promise<ShardCounts> {
    const ref = { streamId: STREAM, shardId: `${slot}-${this.#shards.size}` };
    const inherited = (lane: string): number => Number(lanes.find((row) => row.lane === lane)?.last ?? 0n);
    const shard: ShardCounts = {
      ref,
      after,
      state: 'creating',
      firstCommit: Number(positionParts(after).commit) + 1,
      lanes: new Map(
        LANES.map((lane) => {
          const last = inherited(lane);
          return [lane, { inherited: last, acknowledged: last, submitted: last }];
        }),
      ),
    };
    this.#shards.set(ref.shardId, shard);
    await store.log.createShard(ref, { retentionMs: Infinity, after, lanes });
    shard.state = 'open';
    await this.#speak(store);
    return shard;
  }

  /** A close, a child that goes on, and the end of the parent. */
  async #replace(store: Store, slot: number, parent: ShardCounts): Promise<void> {
    parent.state = 'closing';
    const { lanes } = await store.log.closeShard(parent.ref);
    parent.state = 'closed';
    await this.#speak(store);
    const { next } = await store.log.bounds(parent.ref);
    this.#heads.set(slot, await this.#create(store, slot, next, lanes));
    if (this.#random() < 0.3) return;
    parent.state = 'dropping';
    await store.log.dropShard(parent.ref);
    parent.state = 'dropped';
    await this.#speak(store);
  }

  async #append(store: Store, shard: ShardCounts, lane: string): Promise<void> {
    const counts = shard.lanes.get(lane);
    if (counts === undefined) return;
    const caller = `${shard.ref.shardId}/${lane}`;
    const first = counts.submitted + 1;
    const count = 1 + Math.floor(this.#random() * RECORDS_PER_BLOCK_MAX);
    const last = counts.submitted + count;
    const records = Array.from({ length: count }, (_, index) => {
      const bytes = SIZES[Math.floor(this.#random() * SIZES.length)] ?? 0;
      const data = encodePayload({ caller, call: first, count, index, ordinal: first + index, bytes });
      return { partitionKey: lane, data, monotonicUs: this.#clock.monotonicUs() };
    });
    const input = {
      block: blockOf(records, { firstOrdinal: BigInt(first) }),
      recordCount: count,
      note: Buffer.from(noteOf({ caller, call: first })),
      lane: { lane, first: BigInt(first), last: BigInt(last), tag: Buffer.from(`${last}`) },
      with: [{ key: `last/${caller}`, value: Buffer.from(`${last}`) }],
    };
    counts.submitted = last;
    this.#clock.ms += TICK_MS;
    // Now and then the same again, as after a lost answer.
    const calls = this.#random() < 0.1 ? [input, input] : [input];
    await Promise.all(calls.map((call) => store.log.append(shard.ref, call)));
    counts.acknowledged = last;
    await this.#speak(store);
  }

  async #trim(store: Store, shard: ShardCounts): Promise<void> {
    const { first, next } = await store.log.bounds(shard.ref);
    if (first === null) return;
    const { epoch, commit } = positionParts(first);
    const middle = (commit + positionParts(next).commit) / 2n;
    await store.log.trim(shard.ref, toPosition(epoch, middle, 0));
  }

  /** Promises first: what is asked for meanwhile belongs to the next line. */
  async #speak(store: Store): Promise<void> {
    for (const shard of this.#shards.values()) {
      if (shard.state === 'dropping' || shard.state === 'dropped' || shard.state === 'creating') continue;
      const { first, next } = await store.log.bounds(shard.ref);
      shard.firstCommit = Number(positionParts(first ?? next).commit);
    }
    const shards = [...this.#shards].map(([id, shard]): [string, ShardSaid] => [id, saidOf(shard)]);
    this.#say({
      kind: 'shards',
      layout: 'shared',
      nowMs: this.#clock.ms,
      shards: Object.fromEntries(shards),
    });
  }
}

function saidOf({ state, firstCommit, after, lanes }: ShardCounts): ShardSaid {
  const entries = [...lanes].map(([lane, counts]): [string, ShardLaneSaid] => [lane, { ...counts }]);
  return { state, firstCommit, after: after.toString(), lanes: Object.fromEntries(entries) };
}

const [folder, said, seed, rounds] = process.argv.slice(2);
if (folder !== undefined && said !== undefined) {
  const run = new Run(Number(seed), openSaid(said));
  const path = join(folder, 'log.mdb');
  await run.open(path, Math.ceil(Number(rounds) / 2));
  await run.open(path, Math.floor(Number(rounds) / 2));
}

// Goal: the embedded engine answers everything as the model does, through restarts and a clock that jumps. Method: a
// random story by seed, told to both. A failure prints its seed; run it again with
// SEED=<seed> npx vitest run --project simulation storage
import { describe, expect, it } from 'vitest';
import { isTributaryError } from '../../stream/errors.ts';
import type { ShardRef, Store } from '../../stream/ports.ts';
import type { Position } from '../../stream/position.ts';
import { START_POSITION, toPosition } from '../../stream/position.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import {
  Bench,
  ENGINES,
  START_MS,
  benches,
  block,
  bytes,
  hex,
  laneBlock,
  text,
} from '../contract/engines.ts';

const seedText = process.env['SEED'];
const seedCount = process.env['NIGHTLY'] === 'true' ? 2_000 : 25;
const seeds =
  seedText === undefined ? Array.from({ length: seedCount }, (_, index) => index + 1) : [Number(seedText)];
const STEPS = 80;
const REFS: readonly ShardRef[] = ['0', '1', '2'].map((shardId) => ({ streamId: 's', shardId }));
const LANES = ['a', 'b'];
const KEYS = ['k/1', 'k/2', `k/${'long'.repeat(200)}`];
const LAZY_KEYS = ['lazy/1', 'lazy/2'];
const RETENTIONS_MS = [1_000, 60_000, Infinity];

class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0..below-1; mulberry32. */
  number(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below);
  }

  one<T>(of: readonly T[]): T {
    const chosen = of[this.number(of.length)];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }
}

/** A call, made of both stores. */
type Act = (store: Store) => Promise<unknown>;

describe.each(ENGINES.filter((engine) => engine.isDurable))('$name against the model', (engine) => {
  const bench = benches(engine);

  it.each(seeds)('answers alike, seed %i', async (seed) => {
    await new Story(seed, bench(), engine.name).tell();
  });
});

class Story {
  readonly #dice: Dice;
  readonly #bench: Bench;
  readonly #label: string;
  #step = 0;

  constructor(seed: number, bench: Bench, engineName: string) {
    this.#dice = new Dice(seed);
    this.#bench = bench;
    this.#label = `SEED=${seed} npx vitest run --project simulation storage -t '${engineName}'`;
  }

  async tell(): Promise<void> {
    const model = await openMemoryStore({ clock: this.#bench.clock });
    let store = await this.#bench.open();
    for (this.#step = 0; this.#step < STEPS; this.#step += 1) {
      this.#moveClock();
      if (this.#dice.number(20) === 0) store = await this.#bench.reopen();
      const acts = await this.#acts(model, store);
      const [expected, actual] = await Promise.all(
        [model, store].map((one) => Promise.all(acts.map((act) => answerOf(act(one))))),
      );
      this.#same(actual, expected, 'a call');
      await this.#compare(model, store);
    }
    await model.close();
  }

  #moveClock(): void {
    const { clock } = this.#bench;
    const jump = this.#dice.number(20);
    if (jump === 0) clock.ms -= this.#dice.number(20 * 60_000);
    else if (jump === 1) clock.ms += this.#dice.number(20 * 60_000);
    else clock.ms += this.#dice.number(400);
  }

  /** One act alone, or several in one turn whose order does not matter to what may be answered. */
  async #acts(model: Store, store: Store): Promise<Act[]> {
    const ref = this.#dice.one(REFS);
    switch (this.#dice.number(10)) {
      case 0:
        return [({ log }) => log.dropShard(ref)];
      case 1: {
        const retentionMs = this.#dice.one(RETENTIONS_MS);
        return [({ log }) => log.setRetention(ref, retentionMs)];
      }
      case 2: {
        const position = this.#position();
        return [({ log }) => log.trim(ref, position)];
      }
      case 3: {
        const [key, value] = [this.#dice.one(LAZY_KEYS), this.#dice.number(3) === 0 ? null : this.#value()];
        return [async ({ meta }) => meta.putLazy(key, value)];
      }
      default: {
        const acts: Act[] = [];
        const count = 1 + this.#dice.number(8);
        while (acts.length < count) acts.push(await this.#write(model, store));
        return acts;
      }
    }
  }

  async #write(model: Store, store: Store): Promise<Act> {
    const ref = this.#dice.one(REFS);
    switch (this.#dice.number(8)) {
      case 0: {
        const retentionMs = this.#dice.one(RETENTIONS_MS);
        const after = this.#dice.number(2) === 0 ? this.#position() : START_POSITION;
        return ({ log }) => log.createShard(ref, { retentionMs, after });
      }
      case 1:
        return this.#dice.number(4) === 0 ? ({ log }) => log.closeShard(ref) : this.#put();
      case 2:
        return this.#put();
      case 3:
        return this.#compareAndSet(model, store);
      case 4: {
        const input = block(
          1 + this.#dice.number(5),
          `step ${this.#step} ${'x'.repeat(this.#dice.number(9_000))}`,
        );
        const changes =
          this.#dice.number(2) === 0 ? [] : [{ key: this.#dice.one(KEYS), value: this.#value() }];
        return ({ log }) => log.append(ref, { ...input, with: changes });
      }
      default:
        return this.#laneAppend(model, ref);
    }
  }

  /** Around where the lane ends: next ones, repeats, overlaps and gaps. */
  async #laneAppend(model: Store, ref: ShardRef): Promise<Act> {
    const lane = this.#dice.one(LANES);
    const known = await answerOf(model.log.lane(ref, lane));
    const last = typeof known === 'object' && known !== null && 'last' in known ? (known.last as bigint) : 0n;
    const shift = BigInt(this.#dice.one([0, 0, 0, 0, 1, 3, -1, -3]));
    const first = last + 1n + shift < 1n ? 1n : last + 1n + shift;
    const after = this.#dice.number(6) === 0 ? { after: first - 1n + BigInt(this.#dice.number(3)) } : {};
    const input = laneBlock(lane, first, first + BigInt(this.#dice.number(4)), {
      tag: this.#value(),
      ...after,
    });
    return ({ log }) => log.append(ref, input);
  }

  #put(): Act {
    const [key, value] = [this.#dice.one([...KEYS, ...LAZY_KEYS]), this.#value()];
    const kind = this.#dice.number(4);
    if (kind === 0) return ({ meta }) => meta.del(key, 'any');
    if (kind === 1) return async ({ meta }) => typeof (await meta.put(key, value, 'absent'));
    return async ({ meta }) => typeof (await meta.put(key, value, 'any'));
  }

  /** With what each store said is the revision; they count differently. */
  async #compareAndSet(model: Store, store: Store): Promise<Act> {
    const [key, value] = [this.#dice.one(KEYS), this.#value()];
    const [ofModel, ofStore] = await Promise.all([model.meta.get(key), store.meta.get(key)]);
    const isDelete = this.#dice.number(4) === 0;
    return async (one) => {
      const expected = (one === model ? ofModel : ofStore)?.revision ?? 'absent';
      return isDelete ? one.meta.del(key, expected) : typeof (await one.meta.put(key, value, expected));
    };
  }

  async #compare(model: Store, store: Store): Promise<void> {
    const [ms, ordinal] = [START_MS + this.#dice.number(80 * 400), BigInt(this.#dice.number(60))];
    const [from, max] = [
      this.#position(),
      { blocks: 1 + this.#dice.number(4), bytes: this.#dice.number(20_000) },
    ];
    for (const ref of REFS) {
      const looks: Act[] = [
        ({ log }) => log.bounds(ref),
        ({ log }) => log.seekTime(ref, ms),
        ({ log }) => log.seekOrdinal(ref, ordinal),
        ({ log }) => log.readBlocks(ref, from, max),
        ({ log }) => log.readBlocks(ref, START_POSITION, { blocks: 1e6, bytes: 1e9 }),
        ...LANES.map(
          (lane): Act =>
            ({ log }) =>
              log.lane(ref, lane),
        ),
      ];
      for (const look of looks) await this.#alike(look, model, store, `shard ${ref.shardId}`);
    }
    await this.#alike(({ meta }) => entriesOf(meta.list('')), model, store, 'the map');
    for (const key of [...KEYS, ...LAZY_KEYS])
      await this.#alike(async ({ meta }) => text((await meta.get(key))?.value), model, store, key);
  }

  async #alike(look: Act, model: Store, store: Store, what: string): Promise<void> {
    const [expected, actual] = [await answerOf(look(model)), await answerOf(look(store))];
    this.#same(actual, expected, what);
  }

  #same(actual: unknown, expected: unknown, what: string): void {
    expect(actual, `${what} differs at step ${this.#step}: ${this.#label}`).toEqual(expected);
  }

  #position(): Position {
    return toPosition(
      BigInt(this.#dice.one([0, 1, 1, 1, 1, 2])),
      BigInt(this.#dice.number(60)),
      this.#dice.one([0, 0, 1, 2, 4, 0xffff]),
    );
  }

  #value(): Uint8Array {
    return bytes(`${this.#step} ${this.#dice.number(1_000)}`);
  }
}

/** What is answered or thrown, in a form that compares: buffers as text, of errors the code and what they tell. */
async function answerOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return plain(await call);
  } catch (error) {
    if (!isTributaryError(error)) throw error;
    return error.code === 'META_CONFLICT' ? error.code : [error.code, error.details];
  }
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

async function entriesOf(list: AsyncIterable<{ key: string; value: Uint8Array }>): Promise<string[]> {
  const entries: string[] = [];
  for await (const { key, value } of list) entries.push(`${key}=${text(value)}`);
  return entries;
}

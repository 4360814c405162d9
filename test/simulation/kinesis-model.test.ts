// Goal: whatever is asked of the service in whatever order, it answers as a small model of it does, also after restarts and
// while time passes. Method: a random story by seed; every answer and every refusal is compared. A failure prints its seed;
// run it again with SEED=<seed> npx vitest run --project simulation kinesis-model
import { afterAll, expect, it } from 'vitest';
import { randomOf } from '../seeded-random.ts';
import { KinesisClient } from '../unit/kinesis-client.ts';
import { CONTROL } from './kinesis-model/control.ts';
import { DATA } from './kinesis-model/data.ts';
import { Requests } from './kinesis-model/requests.ts';
import { SHARDS } from './kinesis-model/shards.ts';
import { Model, Refused } from './kinesis-model/state.ts';
import type { Json, Operation } from './kinesis-model/state.ts';

const seedText = process.env['SEED'];
const seedCount = process.env['NIGHTLY'] === 'true' ? 1_000 : 40;
const seeds =
  seedText === undefined ? Array.from({ length: seedCount }, (_, index) => index + 1) : [Number(seedText)];

const STEPS = 600;
const OPERATIONS: Readonly<Record<string, Operation>> = { ...CONTROL, ...SHARDS, ...DATA };
/** Milliseconds between one request and the next: mostly few, now and then a day. */
const PAUSES_MS = [0, 0, 1, 1, 7, 1_000, 100_000, 3_600_000, 20 * 3_600_000];

const answered = new Set<string>();

async function compare(client: KinesisClient, model: Model, name: string, input: Json): Promise<void> {
  let check;
  try {
    check = OPERATIONS[name]?.(model, input);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    expect((await client.refusal(name, input)).split(':')[0]).toBe(error.type);
    return;
  }
  const answer = await client.call(name, input);
  // How many shards a resize made shows in the list alone.
  const { StreamName } = answer;
  const shards =
    name === 'UpdateShardCount'
      ? { shards: (await client.call('ListShards', { StreamName }))['Shards'] }
      : {};
  check?.({ ...answer, ...shards });
  answered.add(name);
}

afterAll(() => {
  const never = Object.keys(OPERATIONS).filter((name) => !answered.has(name));
  if (seedText === undefined) expect(never).toEqual([]);
});

it.each(seeds)('the service answers as its model does (seed %i)', async (seed) => {
  const random = randomOf(seed);
  const client = await KinesisClient.open();
  const model = new Model(client.nowMs);
  const requests = new Requests(random, model);
  for (let step = 0; step < STEPS; step += 1) {
    const pauseMs = PAUSES_MS[Math.floor(random() ** 3 * PAUSES_MS.length)] ?? 0;
    client.passMs(pauseMs);
    model.passMs(pauseMs);
    if (random() < 0.02) await client.restart();
    const { name, input } = requests.next();
    try {
      await compare(client, model, name, input);
    } catch (error) {
      throw new Error(`step ${step} of seed ${seed}: ${name} ${JSON.stringify(input)}`, { cause: error });
    }
  }
});

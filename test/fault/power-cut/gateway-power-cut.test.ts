// Goal: after a power cut at any moment of its life, from its very first start on, the gateway starts by itself and has
// every reading it sent a PUBACK for, once and in order. Method: the real program and mosquitto_pub under strace; the
// PUBACKs are read from what it wrote to its socket; on each image of its folder the real program is started again.
// Other images by POWER_CUT_SEED=<seed> NIGHTLY=true npx vitest run --project fault gateway-power-cut
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { startGateway, stopAll, temporaryFolder } from '../../processes.ts';
import { randomOf } from '../../seeded-random.ts';
import { needs } from '../../tools.ts';
import { Publisher } from '../publisher.ts';
import { storedNumbers } from '../stored-numbers.ts';
import { imagesOf } from './images.ts';
import type { Image } from './images.ts';
import { readRecording } from './recording.ts';
import type { DiskEvent, Listen } from './recording.ts';
import type { ReadingsSaid, Said } from './said.ts';
import { STRACE } from './trace.ts';

const seed = Number(process.env['POWER_CUT_SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
const IMAGES = process.env['NIGHTLY'] === 'true' ? 600 : 30;
const READINGS = 120;
const PAUSE_MS_MAX = 12;
const AT_ONCE = 2;
/** Of MQTT 3.1.1: type and length, then the packet id. */
const [PUBACK, PUBACK_BYTES] = [0x4002, 4];

afterAll(stopAll);

it(
  `seed ${seed}: a gateway loses no reading it acknowledged to a power cut`,
  { timeout: 60_000 + IMAGES * 5_000 },
  async (context) => {
    needs(context, 'strace', 'mosquitto_pub');
    const events = await record();
    const problems: string[] = [];
    const images = imagesOf(events, IMAGES, seed, temporaryFolder('images'));
    const work = async (): Promise<void> => {
      for (const image of images) problems.push(...(await problemsOf(image)));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    expect(problems).toEqual([]);
  },
);

/** From the first start of a gateway to its end, with readings in between. */
async function record(): Promise<DiskEvent[]> {
  const data = temporaryFolder('gateway');
  const trace = join(temporaryFolder('trace'), 'trace');
  const gateway = await startGateway({ data, wrapper: ['strace', ...STRACE, '-o', trace] });
  const publisher = new Publisher(gateway.mqttPort, 'sensors/a');
  const random = randomOf(seed);
  while (publisher.written < READINGS) {
    publisher.write(1 + Math.floor(random() * 3));
    await sleep(random() * PAUSE_MS_MAX);
  }
  publisher.end();
  expect(await publisher.ended).toBe(0);
  // strace ends when the program does, with its code.
  process.kill(Number(gateway.ready['pid']), 'SIGTERM');
  expect(await gateway.ended).toEqual({ code: 0, signal: null });
  const events = await readRecording(trace, data, listenToPubacks());
  // Every one was heard.
  expect(events.findLast(({ kind }) => kind === 'say')).toMatchObject({ text: lineOf(publisher.written) });
  // Images may be from up to the end.
  return [...events, { kind: 'say', text: lineOf(publisher.written) }];
}

/** Every PUBACK is one reading: the only publisher sends each but once, and the packets come whole. */
function listenToPubacks(): Listen {
  let acknowledged = 0;
  return (path, bytes) => {
    if (!/^(socket|TCP)/.test(path) || bytes.length < PUBACK_BYTES || bytes.readUInt16BE(0) !== PUBACK)
      return null;
    acknowledged += bytes.length / PUBACK_BYTES;
    return lineOf(acknowledged);
  };
}

function lineOf(acknowledged: number): string {
  const said: ReadingsSaid = { kind: 'readings', acknowledged };
  return JSON.stringify(said);
}

async function problemsOf({ folder, expectation, moment }: Image): Promise<string[]> {
  try {
    const numbers = await startOn(folder);
    const least = acknowledgedBy(expectation.before);
    const isInOrder = numbers.every((number, index) => number === index);
    if (numbers.length >= least && isInOrder) return [];
    return [`seed ${seed}, ${moment}: ${least} were acknowledged, there are ${numbers.join(' ')}`];
  } catch (error) {
    return [`seed ${seed}, ${moment}: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts the gateway on a copy, lets it take one reading more, and says what it had before. */
async function startOn(image: string): Promise<number[]> {
  const data = `${image}-started`;
  mkdirSync(data, { mode: 0o700 });
  try {
    cpSync(image, data, { recursive: true });
    const gateway = await startGateway({ data });
    const publisher = new Publisher(gateway.mqttPort, 'sensors/later');
    publisher.write(1);
    publisher.end();
    expect(await publisher.ended).toBe(0);
    expect(await gateway.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    return (await storedNumbers(data)).slice(0, -1);
  } finally {
    rmSync(data, { recursive: true });
  }
}

function acknowledgedBy(said: Said | null): number {
  return said?.kind === 'readings' ? said.acknowledged : 0;
}
